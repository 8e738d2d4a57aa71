"""Whether a classifier is as good as it takes itself to be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edgekit.tasks.statistics import share
from edgekit.tasks.values import Better, Measured, Metric, Plausibility
from edgekit.words import percent

if TYPE_CHECKING:
    from edgekit.tasks.classification.accuracy import Accuracy

TOP1: Final = Metric("top1", "top-1", "%", Better.HIGHER)


def judged(accuracy: Accuracy, confidence: float, classes: int) -> Plausibility:
    """What is wrong with a float network, if anything is.

    It is poor where the whole 95 % interval of top-1 is nearer to chance than to the mean confidence, or where top-1 is
    not above chance and could not be a third of the way from there to 1.

    Args:
        accuracy: of the network, on labelled images.
        confidence: its mean confidence on them, 0..1.
        classes: how many there are.
    """
    found, chance = share(accuracy.top1, accuracy.images), 1 / classes
    top1 = Measured(TOP1, 100 * found.value, 100 * found.low, 100 * found.high).text()
    measured = f"{top1}, where its own confidence says {percent(round(confidence, 2))}"
    at_chance = found.low <= chance and found.high < chance + (1 - chance) / 3
    far_below = found.high < (confidence + chance) / 2
    is_what = "at chance level" if at_chance else "far below what it takes itself to be"
    problem = (
        f"the float network itself is {is_what}: top-1 is {measured}. Its preprocessing or padding is not what it was "
        f"trained with, these are not its labels, or it has hardly been trained: every file of it is as wrong. "
        f"verify.limits.top1 sets what is expected, if that is right"
    )
    limit = f"more than {percent(round((confidence + chance) / 2, 2))}"
    return Plausibility("the float network's own top-1", measured, limit, problem if at_chance or far_below else "")
