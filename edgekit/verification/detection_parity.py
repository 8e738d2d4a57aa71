"""What suppression in a file leaves, against edgekit's own: the same boxes, in the same order, and how far off.

Scores of two runtimes differ in their last bits, and integers often give the same score twice. So boxes whose scores
are nearer to one another than that may change places, and where they overlap, either of them may be the one that stays:
such boxes are counted apart. They are few, and many of them are a fault. All others have to be there, and no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.annotations.boxes import overlap
from edgekit.device.detections import EXACT
from edgekit.exporters.metadata import Precision
from edgekit.suppression import detected
from edgekit.verification.integer_parity import ran
from edgekit.words import count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edgekit.suppression import Detections, Ending, Suppression

    Outputs = Mapping[str, NDArray[np.floating]]

# By how much scores and sides, both 0..1, may be off. Of equal integers (``EXACT``) all that is left are soft-max and
# decoding in float32. Of float files, what ``float_parity.TOLERANCE`` allows of codings and logits that reach some ten.
ALLOWED: Final = {
    Precision.FLOAT32: 1e-3,
    Precision.FLOAT16: 0.1,
    Precision.WEIGHT_ONLY: 1e-3,
    Precision.DYNAMIC: 0.2,
}
EXCHANGED: Final = 0.02  # of the boxes, and one more: so many may stand for others that are as sure
# Of the boxes that have to be there, the share that has to be there again, where no more than nearness is claimed:
# one that last bits exchange may have suppressed others.
NEARLY: Final = {
    Precision.FLOAT32: 0.98,
    Precision.FLOAT16: 0.9,
    Precision.WEIGHT_ONLY: 0.98,
    Precision.DYNAMIC: 0.8,
}


@dataclass(frozen=True, slots=True)
class DetectionParity:
    """The boxes of one detector in one runner against those that edgekit's own suppression leaves.

    Attributes:
        runner: runtime, version and kernels.
        images: how many were compared.
        boxes: that there have to be.
        again: how many of these the runner gives, with the same class.
        undecided: how many of the others may be missing: too near to the least score, or to that of the last row.
        exchanged: how many of the others are replaced by a box that overlaps them and has the same score.
        surplus: boxes that may not be there.
        disordered: images whose boxes are in another order.
        max_abs_error: of a side of those that are there again, in shares of the image.
        tolerance: of it, and of scores.
        least: the smallest share of ``boxes``, without undecided ones, that the runner has to give again. Surplus boxes
            may be the rest of that share at most.
        output: its name.
    """

    runner: str
    images: int
    boxes: int
    again: int
    undecided: int
    exchanged: int
    surplus: int
    disordered: int
    max_abs_error: float
    tolerance: float
    least: float
    output: str

    def ran(self) -> str:
        """Runner and output, for people."""
        return ran(self.runner, self.output)

    def farness(self) -> float:
        """How far off it is, by which outputs are ordered."""
        return self.lost + self.exchanged + self.surplus + self.max_abs_error

    def values_of(self) -> str:
        """What was compared, for people."""
        return f"boxes of {self.output}"

    @property
    def lost(self) -> int:
        """Boxes that have to be there and are not."""
        return self.boxes - self.again - self.undecided - self.exchanged

    @property
    def identical(self) -> float:
        """Of the boxes that have to be there, what is there again, 0..1."""
        decided = self.boxes - self.undecided
        return self.again / decided if decided else 1.0

    def distance(self) -> str:
        """How far off it is, in a few words."""
        return f"{self.max_abs_error:.1e}"

    def said(self) -> str:
        """How many boxes are there again, for people."""
        decided = self.undecided + self.exchanged
        apart = f", {decided:,} decided by last bits" if decided else ""
        order = "in the same order" if not self.disordered else f"in another order in {count(self.disordered, 'image')}"
        return f"{self.again:,} of {self.boxes:,} boxes{apart}, {order}, {self.max_abs_error:.1e} off at most"

    @property
    def wrong(self) -> str:
        """What is wrong, in words."""
        if not self.images:
            return "no images were compared"
        found = [f"{self.lost:,} of {self.boxes:,} boxes missing"] if self.lost else []
        found += [f"{self.surplus:,} boxes too many"] if self.surplus else []
        found += [f"{self.exchanged:,} of {self.boxes:,} boxes exchanged for others"] if self.exchanged else []
        found += [f"another order in {count(self.disordered, 'image')}"] if self.disordered else []
        return ", ".join(found)

    @property
    def passed(self) -> bool:
        """Whether the boxes are as they have to be."""
        if not self.images:
            return False
        if self.least == 1:
            few = self.exchanged <= 1 + EXCHANGED * self.boxes
            return few and not (self.lost or self.surplus or self.disordered)
        return self.identical >= self.least and self.surplus <= (1 - self.least) * max(self.boxes, 1)


@dataclass(frozen=True, slots=True)
class _Image:
    """Those of one image, as ``DetectionParity`` counts them."""

    boxes: int
    again: int
    undecided: int
    exchanged: int
    surplus: int
    is_ordered: bool
    max_abs_error: float


def compare_detections(  # noqa: PLR0913 - what is compared, and what is allowed
    runner: str, found: Outputs, expected: Outputs, ending: Ending, *, tolerance: float = EXACT, least: float = 1.0
) -> DetectionParity:
    """Compare what a runner gives, [N, ...] by name, with what ``ending`` has to give."""
    images = _images(found, expected, ending, tolerance)
    return DetectionParity(
        runner=runner,
        images=len(images),
        boxes=sum(one.boxes for one in images),
        again=sum(one.again for one in images),
        undecided=sum(one.undecided for one in images),
        exchanged=sum(one.exchanged for one in images),
        surplus=sum(one.surplus for one in images),
        disordered=sum(not one.is_ordered for one in images),
        max_abs_error=max((one.max_abs_error for one in images), default=0.0),
        tolerance=tolerance,
        least=least,
        output=ending.names[0],
    )


def differ(found: Outputs, expected: Outputs, ending: Ending, tolerance: float) -> NDArray[np.bool_]:
    """For each image, [N], whether its boxes are not what they have to be."""
    images = _images(found, expected, ending, tolerance)
    return np.array(
        [
            one.again + one.undecided + one.exchanged < one.boxes or one.surplus > 0 or not one.is_ordered
            for one in images
        ],
        np.bool_,
    )


def _images(found: Outputs, expected: Outputs, ending: Ending, tolerance: float) -> list[_Image]:
    sides = (zip(*(outputs[name] for name in ending.names), strict=True) for outputs in (found, expected))
    return [
        _compared(detected(*ours), detected(*theirs), ending.rule, tolerance)
        for ours, theirs in zip(*sides, strict=True)
    ]


def _compared(ours: Detections, theirs: Detections, rule: Suppression, tolerance: float) -> _Image:
    """What a file leaves of one image, ``ours``, against what has to be left, ``theirs``."""
    apart = np.abs(theirs.boxes[:, None].astype(np.float64) - ours.boxes[None]).max(-1, initial=0.0)
    off = np.abs(np.subtract.outer(theirs.scores.astype(np.float64), ours.scores))
    may_be = (apart <= tolerance) & (off <= tolerance) & np.equal.outer(theirs.classes, ours.classes)
    pairs: dict[int, int] = {}  # places among theirs, by places among ours
    for place in range(len(theirs)):
        free = [other for other in np.flatnonzero(may_be[place]).tolist() if other not in pairs]
        if free:
            pairs[min(free, key=lambda other: float(apart[place, other]))] = place
    lost = np.setdiff1d(np.arange(len(theirs)), [*pairs.values()])
    surplus = np.setdiff1d(np.arange(len(ours)), [*pairs])
    in_order = theirs.scores[[pairs[place] for place in sorted(pairs)]].astype(np.float64)
    behind = np.maximum.accumulate(in_order[::-1])[::-1]  # the highest score from there on
    lost_at_end, too_many_at_end = (
        _at_end(theirs, lost, ours, rule, tolerance),
        _at_end(ours, surplus, theirs, rule, tolerance),
    )
    exchanged = _exchanged(theirs, lost[~lost_at_end], ours, rule, tolerance)
    instead = _exchanged(ours, surplus[~too_many_at_end], theirs, rule, tolerance)
    return _Image(
        boxes=len(theirs),
        again=len(pairs),
        undecided=int(lost_at_end.sum()),
        exchanged=int(exchanged.sum()),
        surplus=int((~instead).sum()),
        is_ordered=bool((behind - in_order <= tolerance).all()),
        max_abs_error=max((float(apart[place, other]) for other, place in pairs.items()), default=0.0),
    )


def _at_end(
    own: Detections, places: NDArray[np.intp], others: Detections, rule: Suppression, tolerance: float
) -> NDArray[np.bool_]:
    """For each of the boxes at ``places``, whether last bits decide that it is there at all.

    That is so at the least score; and at that of the last of the others, where these are as many as there may be.
    """
    scores = own.scores[places].astype(np.float64)
    may: NDArray[np.bool_] = np.abs(scores - rule.score) <= tolerance
    if len(others) == rule.most:
        may |= np.abs(scores - others.scores[-1]) <= tolerance
    return may


def _exchanged(
    own: Detections, places: NDArray[np.intp], others: Detections, rule: Suppression, tolerance: float
) -> NDArray[np.bool_]:
    """For each of the boxes at ``places``, whether one of the others is as sure and overlaps it by enough.

    But not if one of its own, that is surer, does.
    """
    some = own.some(places)
    goes = _has_rival(some, others, rule.overlap - tolerance, -tolerance)
    has_to_go = _has_rival(some, own, rule.overlap + tolerance, tolerance)
    return goes & ~has_to_go


def _has_rival(some: Detections, others: Detections, least: float, surer: float) -> NDArray[np.bool_]:
    """Whether one of the others, surer by so much, overlaps each by more than ``least``, and is of its class."""
    shared = overlap(some.boxes.astype(np.float64), others.boxes.astype(np.float64))
    alike = np.equal.outer(some.classes, others.classes)
    better = np.subtract.outer(some.scores.astype(np.float64), others.scores) <= -surer
    found: NDArray[np.bool_] = np.logical_or.reduce((shared > least) & alike & better, axis=1)
    return found
