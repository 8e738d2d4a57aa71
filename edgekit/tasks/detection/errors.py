"""Errors of a detector by kind, and what each costs (Bolya et al., TIDE, arXiv:2008.08115).

Each detection that hits nothing is one of these, by the object that it overlaps most (section 2.2): **wrong class**,
an object of another class at IoU 0.5 or more; **wrong place**, one of its class at 0.1 to 0.5; **both**, one of another
class at 0.1 to 0.5; **duplicate**, one of its class that a better detection has taken; **background**, none at 0.1 or
more. An object that nothing hits, and that no detection of the first two kinds explains, is **missed**.

What a kind costs is the mean average precision at IoU 0.5 that would be gained without it, all else equal (section
2.3): a wrong class or place is corrected, where the object is still free; a missed object is not asked for; what is of
any other kind is removed. The costs of several kinds do not add up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.annotations.boxes import overlap
from edgekit.tasks.detection.precision import average_precisions, hits, mean_over_classes
from edgekit.tasks.quality import ErrorKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgekit.annotations.boxes import Boxes
    from edgekit.suppression import Detections

FOREGROUND: Final = 0.5
BACKGROUND: Final = 0.1
WRONG_CLASS, WRONG_PLACE, BOTH = "wrong class", "wrong place", "wrong class and place"
DUPLICATE, ON_BACKGROUND, MISSED = "duplicate", "background", "missed"
KINDS: Final = (WRONG_CLASS, WRONG_PLACE, BOTH, DUPLICATE, ON_BACKGROUND)
_HIT, _IN_CROWD = "hit", "crowd"


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class _Judged:
    """What is to be said of the detections of an image.

    Attributes:
        kinds: of each detection.
        about: the object that it is about; -1 for none.
        taken: [objects], which are hit.
    """

    kinds: NDArray[np.object_]
    about: NDArray[np.int64]
    taken: NDArray[np.bool_]


def errors_of(found: Sequence[Detections], right: Sequence[Boxes], classes: int, least: float) -> tuple[ErrorKind, ...]:
    """How often each kind of error happens, and what it costs in points of mAP at IoU 0.5.

    Args:
        found: in each of N images.
        right: the objects in each.
        classes: how many there are.
        least: the score from which on a detection is counted; costs are of all detections, as the metric is.
    """
    judged = [_judged(seen, there) for seen, there in zip(found, right, strict=True)]
    before = _precision(found, right, classes)
    shown = [one.kinds[seen.scores >= least] for seen, one in zip(found, judged, strict=True)]
    boxes = max(sum(map(len, shown)), 1)
    result = []
    for kind in KINDS:
        number = sum(int((kinds == kind).sum()) for kinds in shown)
        mended = [_mended(*one, kind) for one in zip(found, right, judged, strict=True)]
        cost = 100 * (_precision(mended, right, classes) - before)
        result.append(ErrorKind(kind, number, "boxes shown", number / boxes, cost))
    lost = [_missed(seen.some(seen.scores >= least), there) for seen, there in zip(found, right, strict=True)]
    missed, objects = sum(int(one.sum()) for one in lost), sum(int((~there.is_crowd).sum()) for there in right)
    asked = [there.some(~_missed(seen, there)) for seen, there in zip(found, right, strict=True)]
    cost = 100 * (_precision(found, asked, classes) - before)
    return (*result, ErrorKind(MISSED, missed, "objects", missed / max(objects, 1), cost))


def _judged(seen: Detections, there: Boxes) -> _Judged:
    kinds = np.full(len(seen), ON_BACKGROUND, dtype=object)
    about = np.full(len(seen), -1)
    taken = np.zeros(len(there), np.bool_)
    if not len(there):
        return _Judged(kinds, about, taken)
    shared = overlap(seen.boxes.astype(np.float64), there.corners)
    order = np.argsort(-seen.scores, kind="stable")
    for place in order:  # hits first take their objects, the most certain one first
        fits = (there.classes == seen.classes[place]) & ~there.is_crowd & ~taken & (shared[place] >= FOREGROUND)
        if fits.any():
            best = int(np.where(fits, shared[place], -1).argmax())
            kinds[place], about[place], taken[best] = _HIT, best, True
    for place in order[kinds[order] != _HIT]:
        kinds[place], about[place] = _kind(shared[place], there.classes == seen.classes[place], there.is_crowd)
    return _Judged(kinds, about, taken)


def _kind(shared: NDArray[np.float64], same: NDArray[np.bool_], crowd: NDArray[np.bool_]) -> tuple[str, int]:
    """The kind of a detection that hits nothing, and the object that it is about; the order is that of TIDE's code."""
    of_same, of_other = (np.where(which & ~crowd, shared, 0.0) for which in (same, ~same))
    if BACKGROUND <= of_same.max() < FOREGROUND:
        return WRONG_PLACE, int(of_same.argmax())
    if of_other.max() >= FOREGROUND:
        return WRONG_CLASS, int(of_other.argmax())
    if of_same.max() >= FOREGROUND:
        return DUPLICATE, int(of_same.argmax())
    if (crowd & (shared >= FOREGROUND)).any():
        return _IN_CROWD, -1
    if of_other.max() >= BACKGROUND:
        return BOTH, int(of_other.argmax())
    return ON_BACKGROUND, -1


def _missed(seen: Detections, there: Boxes) -> NDArray[np.bool_]:
    """Which objects nothing hits, and no detection of a wrong class or place explains."""
    judged = _judged(seen, there)
    explained = judged.taken.copy()
    explained[judged.about[(judged.kinds == WRONG_CLASS) | (judged.kinds == WRONG_PLACE)]] = True
    found: NDArray[np.bool_] = ~explained & ~there.is_crowd
    return found


def _mended(seen: Detections, there: Boxes, judged: _Judged, kind: str) -> Detections:
    """The detections of an image without a kind of error."""
    keep, corners, named, free = judged.kinds != kind, seen.boxes.copy(), seen.classes.copy(), ~judged.taken
    if kind in {WRONG_CLASS, WRONG_PLACE}:
        for place in np.flatnonzero(judged.kinds == kind):
            about = judged.about[place]
            if free[about]:  # a second one of the same object would be a duplicate
                free[about], keep[place] = False, True
                corners[place], named[place] = there.corners[about], there.classes[about]
    return replace(seen, boxes=corners, classes=named).some(keep)


def _precision(found: Sequence[Detections], right: Sequence[Boxes], classes: int) -> float:
    """Mean average precision at IoU 0.5, 0..1."""
    of_all = hits(found, right, classes, (FOREGROUND,))
    return float(mean_over_classes(average_precisions(of_all))[0, 0])
