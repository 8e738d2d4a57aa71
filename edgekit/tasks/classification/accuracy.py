"""How often logits are right, and how often they name the class that others name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgekit.tasks.classification.answers import probabilities, ranked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Measured on labelled images.

    Attributes:
        images: how many.
        top1: share whose highest logit is the label, 0..1.
        top5: share with the label among the five highest logits, 0..1.
    """

    images: int
    top1: float
    top5: float


def measure(logits: NDArray[np.generic], labels: Sequence[int]) -> Accuracy:
    """The accuracy of ``logits``, [N, classes]. Equal logits rank in the order of the classes, as argmax has it.

    >>> import numpy as np
    >>> measure(np.array([[0.1, 0.9], [0.8, 0.2]]), [1, 1])
    Accuracy(images=2, top1=0.5, top5=1.0)
    """
    hits = ranked(logits, 5) == np.asarray(labels)[:, None]
    return Accuracy(len(logits), float(hits[:, 0].mean()), float(hits.any(1).mean()))


def confidence(logits: NDArray[np.generic]) -> float:
    """The mean over images of the largest soft-max probability, 0..1, of ``logits``, [N, classes].

    A network that is well calibrated is right so often (Guo et al., On Calibration of Modern Neural Networks, ICML
    2017, section 2).

    >>> import numpy as np
    >>> confidence(np.array([[0.0, 0.0], [100.0, 0.0]]))
    0.75
    """
    return float(probabilities(logits).max(1).mean())


def agreement(a: NDArray[np.generic], b: NDArray[np.generic]) -> float:
    """The share of images, 0..1, for which both logits, [N, classes], are highest in the same class."""
    return float((a.argmax(1) == b.argmax(1)).mean()) if len(a) else 0.0
