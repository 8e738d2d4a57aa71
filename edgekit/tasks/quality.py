"""How good a network is in detail: class by class, what it takes for what, how sure it is, and errors by kind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from edgekit.tasks.values import Measured

MOST_CONFUSIONS: Final = 50


@dataclass(frozen=True, slots=True)
class OfClass:
    """How good a network is on one class.

    Attributes:
        name: of the class.
        number: how many images, boxes or pixels are of it.
        value: percent: images that are named right, average precision at IoU 0.5, intersection over union.
    """

    name: str
    number: int
    value: float


@dataclass(frozen=True, slots=True)
class Confusion:
    """A class that is taken for another one.

    Attributes:
        right: the class that it is.
        said: the class that the network names.
        number: of images, boxes or pixels.
        share: of all that are of the class, 0..1.
        images: names of some of the images.
    """

    right: str
    said: str
    number: int
    share: float
    images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConfidenceBin:
    """The images on which the network is about equally sure.

    Attributes:
        low: least probability of the class that it names.
        high: largest one.
        images: how many.
        confidence: mean probability; 0 without images.
        accuracy: share that is right, 0..1; likewise.
    """

    low: float
    high: float
    images: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """Whether a classifier is right as often as it says (Guo et al., ICML 2017, sections 2 and 3).

    Attributes:
        confidence: mean probability of the class that it names, 0..1.
        accuracy: share that is right, 0..1.
        ece: expected calibration error: the mean distance of the two over bins, weighted by images, 0..1.
        bins: of equal width.
    """

    confidence: float
    accuracy: float
    ece: float
    bins: tuple[ConfidenceBin, ...]


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """One kind of error.

    Attributes:
        name: what it is ("missed").
        number: how often it happens.
        of: what ``number`` is counted in ("boxes", "pixels at a border").
        share: of these, 0..1.
        cost: points of the first metric that would be gained without it; None where that is not known.
    """

    name: str
    number: int
    of: str
    share: float
    cost: float | None = None


@dataclass(frozen=True, slots=True)
class Quality:
    """How good a network is on images whose targets are known.

    Attributes:
        measured: the metrics of its task.
        classes: of each that occurs, the worst first.
        confusions: the most frequent first.
        reliability: of a classifier's probabilities; None of other tasks.
        errors: by kind; empty of classifiers.
    """

    measured: tuple[Measured, ...]
    classes: tuple[OfClass, ...] = ()
    confusions: tuple[Confusion, ...] = ()
    reliability: Reliability | None = None
    errors: tuple[ErrorKind, ...] = field(default=())


def worst_first(classes: list[OfClass]) -> tuple[OfClass, ...]:
    """Classes in the order in which they are shown."""
    return tuple(sorted(classes, key=lambda one: (one.value, one.name)))


def confused(
    matrix: NDArray[np.int64],
    names: Sequence[str],
    images: Callable[[int, int], tuple[str, ...]] = lambda right, said: (),  # noqa: ARG005 - of pixels none are named
) -> tuple[Confusion, ...]:
    """Which class is taken for which, the most frequent first.

    Args:
        matrix: how many of each class (a row) are said to be which (a column), [classes, classes].
        names: of the classes.
        images: names of some for two classes.
    """
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CONFUSIONS]
    pairs = [divmod(int(place), len(names)) for place in order if wrong.flat[place]]
    return tuple(
        Confusion(names[a], names[b], int(wrong[a, b]), float(wrong[a, b] / matrix[a].sum()), images(a, b))
        for a, b in pairs
    )
