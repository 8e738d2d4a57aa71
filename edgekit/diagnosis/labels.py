"""Whether labels are those of the images, by what a trained network says of them.

A network that was trained on right labels contradicts wrong ones, and it is sure of that. Three patterns are told
apart: two classes exchanged, all classes in another order, and images of one class that are of another one. A hard
class looks otherwise: the network errs on it in several directions, or is not sure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.diagnosis.finding import Finding, Trouble
from edgekit.tasks.classification.answers import probabilities
from edgekit.tasks.classification.labels import binomial_tail
from edgekit.tasks.classification.quality import confusion_matrix
from edgekit.words import count, percent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from edgekit.diagnosis.remedies import DataSet
    from edgekit.tasks.quality import Reliability

# Of the images of a class that are named another one. Half is "most of them": a class that a network does not know is
# rarely taken for one and the same other class as often.
MOST: Final = 0.5
FEWEST: Final = 5  # images of a class from which a share says something
# Of the images of a class, those that the network surely calls one other class. Published test sets have 0.1 to 10 %
# wrong labels, mean 3.4 % (Northcutt et al., Pervasive Label Errors, NeurIPS 2021, table 1); twice the most is a fault.
MISLABELLED: Final = 0.2
SURE: Final = 0.5  # least probability of what it surely names: more than of all other classes together
_CHANCE: Final = 1e-4  # how often so many sure contradictions may be chance; a network has many pairs of classes
OVERCONFIDENT: Final = 0.1  # mean confidence above accuracy, beyond what chance explains
IMBALANCE: Final = 10  # times as many images of the largest class as of the smallest


def of_labels(
    logits: NDArray[np.generic], targets: Sequence[int], names: Sequence[str], data: DataSet
) -> Iterator[Finding]:
    """What is wrong with the labels of images.

    Args:
        logits: what a trained network says, [N, classes].
        targets: the labels, as class indices.
        names: of the classes.
        data: where the labels lie.
    """
    matrix = confusion_matrix(logits, targets)
    there = matrix.sum(1)
    named = matrix.argmax(1)
    taken = np.array([n >= FEWEST and matrix[a, named[a]] > MOST * n and named[a] != a for a, n in enumerate(there)])
    if (other := _other_order(matrix, named, taken)) is not None:
        yield _of_order(other, names, data)
        return
    pairs = [
        (a, int(named[a]))
        for a in np.flatnonzero(taken).tolist()
        if named[named[a]] == a and taken[named[a]] and a < named[a]
    ]
    for a, b in pairs:
        evidence = (
            f"{matrix[a, b]} of {there[a]} images of {names[a]} are named {names[b]}, and {matrix[b, a]} of "
            f"{there[b]} of {names[b]} are named {names[a]}"
        )
        sentence = f"The labels of {names[a]} and {names[b]} are exchanged."
        yield Finding(Trouble.SWAPPED_LABELS, sentence, evidence, data.swapped(a, b))
    exchanged = {index for pair in pairs for index in pair}
    yield from _mislabelled(logits, np.asarray(targets), names, data, exchanged)


def _other_order(matrix: NDArray[np.int64], named: NDArray[np.intp], taken: NDArray[np.bool_]) -> list[int] | None:
    """The class that each label means, where most classes are named another one, each its own; None otherwise."""
    known = np.flatnonzero(matrix.sum(1) >= FEWEST)
    most = len(known) > 2 and taken.sum() > 2 and taken.sum() > MOST * len(known)
    if not most or len(set(named[known].tolist())) < MOST * 2 * len(known):
        return None
    return [int(index) for index in named]


def _of_order(order: Sequence[int], names: Sequence[str], data: DataSet) -> Finding:
    moved = [(a, b) for a, b in enumerate(order) if a != b]
    shown = ", ".join(f"{names[a]} is {names[b]}" for a, b in moved[:3])
    return Finding(
        Trouble.OTHER_ORDER,
        "The labels count classes in another order than the network.",
        f"most images of {len(moved)} classes are named another class, each its own: {shown}"
        f"{', …' if len(moved) > 3 else ''}",
        data.reordered(order),
    )


def _mislabelled(
    logits: NDArray[np.generic],
    targets: NDArray[np.int64],
    names: Sequence[str],
    data: DataSet,
    exchanged: set[int],
) -> Iterator[Finding]:
    """Classes of which many images are surely of one other class (confident learning: Northcutt et al., JAIR 2021)."""
    likely = probabilities(logits)
    said, sure_of = likely.argmax(1), likely.max(1)
    right = said == targets
    if not right.any():
        return
    contradicts = ~right & (sure_of >= SURE)
    usual = float(contradicts.mean())
    for label in np.unique(targets):
        own = targets == label
        images = int(own.sum())
        others = np.bincount(said[own & contradicts], minlength=len(names))
        other, number = int(others.argmax()), int(others.max())
        # Of all images, but for this class: what a network that errs as usual would surely contradict.
        elsewhere = float(contradicts[~own].mean()) if (~own).any() else usual
        by_chance = binomial_tail(images, number, max(elsewhere, 1 / len(targets)))
        if label in exchanged or images < FEWEST or number < max(FEWEST, MISLABELLED * images) or by_chance > _CHANCE:
            continue
        places = np.flatnonzero(own & contradicts & (said == other)).tolist()
        yield Finding(
            Trouble.MISLABELLED,
            f"Many images that are labelled {names[label]} show {names[other]}. Look at them, and relabel them.",
            f"of {count(images, 'image')} of {names[label]}, the network surely names {number} {names[other]} "
            f"(probability {SURE} or more); it contradicts {percent(round(elsewhere, 3))} of the others so surely",
            data.relabelled(places, other),
        )


def of_numbers(
    numbers: NDArray[np.int64], names: Sequence[str], recalls: Sequence[float | None], what: str, remedy: str
) -> Iterator[Finding]:
    """Whether some classes have far fewer images than others.

    Args:
        numbers: of the images of each class that is trained or tested on.
        names: of the classes.
        recalls: share of the images of each class that the network names right, 0..1; None where that is not known.
        what: which images were counted ("training images").
        remedy: a command.
    """
    known = np.flatnonzero(numbers)
    if len(known) < 2:
        return
    few, many = known[numbers[known].argmin()], known[numbers[known].argmax()]
    if numbers[many] < max(IMBALANCE * numbers[few], FEWEST * IMBALANCE):
        return
    recall = recalls[few]
    found = "" if recall is None else f"; the network names {percent(round(recall, 3))} of {names[few]} right"
    yield Finding(
        Trouble.IMBALANCE,
        f"There are far fewer images of {names[few]} than of {names[many]}.",
        f"{numbers[few]:,} {what} of {names[few]}, {numbers[many]:,} of {names[many]}{found}",
        remedy,
    )


def of_confidence(found: Reliability, images: int, retrain: str) -> Iterator[Finding]:
    """Whether a classifier is much surer than it is right."""
    chance = 1.96 * (found.accuracy * (1 - found.accuracy) / max(images, 1)) ** 0.5
    if found.confidence - found.accuracy - chance <= OVERCONFIDENT:
        return
    yield Finding(
        Trouble.OVERCONFIDENT,
        "The network is much surer than it is right, so its probabilities cannot be used as such.",
        f"mean confidence {percent(round(found.confidence, 3))}, right on {percent(round(found.accuracy, 3))} of "
        f"{count(images, 'image')}; expected calibration error {percent(round(found.ece, 3))}",
        retrain,
    )
