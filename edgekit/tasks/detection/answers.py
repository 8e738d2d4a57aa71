"""What is seen in an image, in words: names, scores, and where."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.annotations.boxes import overlap
from edgekit.tasks.values import Answer
from edgekit.words import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgekit.annotations.boxes import Boxes
    from edgekit.suppression import Detections

SAME_PLACE: Final = 0.5  # intersection over union from which on two boxes are taken for one thing (PASCAL VOC)


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that is seen.

    Attributes:
        index: of its class.
        label: the name of it; "class 7" where none is known.
        score: 0..1.
        box: left, top, right and bottom, in shares of the image.
    """

    index: int
    label: str
    score: float
    box: tuple[float, float, float, float]

    @property
    def line(self) -> str:
        """All of it in a line."""
        left, top, right, bottom = (f"{100 * side:.0f}" for side in self.box)
        return f"{self.label} {percent(self.score)} ({left} to {right} % across, {top} to {bottom} % down)"


@dataclass(frozen=True, slots=True)
class Things(Answer):
    """Everything that is seen in an image.

    Attributes:
        seen: the most certain first.
        most: how many of them ``lines`` lists.
    """

    seen: tuple[Thing, ...]
    most: int

    @property
    def text(self) -> str:
        """How many there are of each class."""
        counted = sorted(Counter((thing.index, thing.label) for thing in self.seen).items())
        return ", ".join(f"{number} {label}" for (_, label), number in counted) or "nothing"

    @property
    def lines(self) -> tuple[str, ...]:
        """Each thing with its score and place."""
        left = len(self.seen) - self.most
        more = (f"and {left} more",) if left > 0 else ()
        return (*(thing.line for thing in self.seen[: self.most]), *more) or ("nothing",)

    def contradicts(self, right: Answer) -> bool:
        """Whether a thing is missing, or is seen where none is: two are the same at an overlap of one half."""
        assert isinstance(right, Things)
        return bool(missing(right.seen, self.seen) or missing(self.seen, right.seen))


def missing(wanted: Sequence[Thing], seen: Sequence[Thing]) -> tuple[Thing, ...]:
    """Those of ``wanted`` of which there is none in ``seen``: of the same class, and in the same place."""
    if not wanted or not seen:
        return tuple(wanted)
    shared = overlap(_corners(wanted), _corners(seen))
    alike = np.equal.outer([thing.index for thing in wanted], [thing.index for thing in seen])
    is_there = np.logical_or.reduce((shared >= SAME_PLACE) & alike, axis=1)
    return tuple(thing for thing, there in zip(wanted, is_there, strict=True) if not there)


def things(found: Detections, names: Sequence[str], most: int) -> Things:
    """What was detected, in words; ``names`` are those of the classes."""
    rows = zip(found.classes.tolist(), found.scores.tolist(), found.boxes.tolist(), strict=True)
    return Things(tuple(Thing(index, names[index], score, tuple(box)) for index, score, box in rows), most)


def labelled(boxes: Boxes, names: Sequence[str]) -> Things:
    """What is there, likewise; crowds are left out."""
    there = boxes.some(~boxes.is_crowd)
    rows = zip(there.classes.tolist(), there.corners.tolist(), strict=True)
    seen = tuple(Thing(index, names[index], 1.0, tuple(box)) for index, box in rows)
    return Things(seen, len(seen))


def _corners(some: Sequence[Thing]) -> NDArray[np.float64]:
    return np.asarray([thing.box for thing in some], np.float64).reshape(-1, 4)
