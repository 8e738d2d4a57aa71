"""A classifier in detail: each class, what it is taken for, and whether probabilities are true."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.tasks.classification.answers import probabilities
from edgekit.tasks.quality import ConfidenceBin, Confusion, OfClass, Reliability, confused, worst_first

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

BINS: Final = 15  # as in Guo et al., section 4
_MOST_IMAGES: Final = 10  # names of a confusion


def confusion_matrix(logits: NDArray[np.generic], targets: Sequence[int]) -> NDArray[np.int64]:
    """How many images of each class (a row) are named which (a column), [classes, classes].

    >>> import numpy as np
    >>> confusion_matrix(np.array([[0.0, 1.0], [1.0, 0.0]]), [1, 1]).tolist()
    [[0, 0], [1, 1]]
    """
    classes = logits.shape[1]
    pairs = np.asarray(targets) * classes + logits.argmax(1)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def of_classes(matrix: NDArray[np.int64], names: Sequence[str]) -> tuple[OfClass, ...]:
    """Of each class that occurs, the share of its images that are named right."""
    there = matrix.sum(1)
    return worst_first(
        [OfClass(names[i], int(there[i]), 100 * float(matrix[i, i] / there[i])) for i in np.flatnonzero(there).tolist()]
    )


def confusions(
    logits: NDArray[np.generic], targets: Sequence[int], names: Sequence[str], images: Sequence[str]
) -> tuple[Confusion, ...]:
    """Which class is taken for which, the most frequent first.

    Args:
        logits: [N, classes].
        targets: class indices, one an image.
        names: of the classes.
        images: their names.
    """
    said, right = logits.argmax(1), np.asarray(targets)

    def some(a: int, b: int) -> tuple[str, ...]:
        return tuple(images[i] for i in np.flatnonzero((right == a) & (said == b))[:_MOST_IMAGES])

    return confused(confusion_matrix(logits, targets), names, some)


def reliability(logits: NDArray[np.generic], targets: Sequence[int]) -> Reliability:
    """Whether the network is right as often as it says, in bins of equal width.

    The expected calibration error is Guo et al.'s, equation 3: the mean of |accuracy - confidence| of the bins,
    weighted by their images.

    >>> import numpy as np
    >>> round(reliability(np.log(np.array([[0.8, 0.2]] * 5)), [0, 0, 0, 0, 1]).ece, 6)
    0.0
    """
    likely = probabilities(logits)
    sure, right = likely.max(1), likely.argmax(1) == np.asarray(targets)
    places = np.minimum((sure * BINS).astype(int), BINS - 1)
    bins, ece = [], 0.0
    for place in range(BINS):
        chosen = places == place
        images = int(chosen.sum())
        confidence, accuracy = (float(of[chosen].mean()) if images else 0.0 for of in (sure, right))
        bins.append(ConfidenceBin(place / BINS, (place + 1) / BINS, images, confidence, accuracy))
        ece += images / len(sure) * abs(accuracy - confidence)
    return Reliability(float(sure.mean()), float(right.mean()), ece, tuple(bins))
