"""Average precision of detections, as COCO measures it, and its interval by resampling images.

Detections of a class are looked at from the most certain on. Each takes the box of that class, in its image, that it
overlaps most and that no better detection has taken, if the intersection over union reaches a threshold: then it is a
hit. Precision at a recall is the largest at that recall or a higher one, and average precision its mean over 101
recalls, 0, 0.01, …, 1. What overlaps a crowd, and hits nothing, counts nowhere.

Sources: Lin et al., Microsoft COCO, arXiv:1405.0312; and ``evaluateImg`` and ``accumulate`` of pycocotools/cocoeval.py,
for all areas and 100 detections of an image and class at most.

Which detections hit what does not depend on the other images. So an average precision of resampled images needs only
sums in which each image counts as often as it was drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.annotations.boxes import areas, common, overlap, shares
from edgekit.tasks.statistics import Interval, resampled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgekit.annotations.boxes import Boxes
    from edgekit.suppression import Detections

THRESHOLDS: Final = tuple(np.linspace(0.5, 0.95, 10).tolist())
RECALLS: Final = np.linspace(0.0, 1.0, 101)
_MOST: Final = 100  # detections of an image and class
_ALMOST_ONE: Final = 1 - 1e-10  # the largest threshold, as COCO has it
_AT_ONCE: Final = 4_000_000  # numbers that are summed up at once


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Hits:
    """What the detections of one class hit, in all images, the most certain first.

    Attributes:
        images: [M], the image of each detection.
        hit: [thresholds, M], whether it takes a box.
        counts: [thresholds, M], whether it counts: not where it hits nothing but a crowd.
        boxes: [N], the boxes to be found in each image.
    """

    images: NDArray[np.int64]
    hit: NDArray[np.bool_]
    counts: NDArray[np.bool_]
    boxes: NDArray[np.int64]


def hits(
    found: Sequence[Detections],
    right: Sequence[Boxes],
    classes: int,
    thresholds: Sequence[float] = THRESHOLDS,
) -> tuple[Hits, ...]:
    """What detections hit, class by class.

    Args:
        found: in each of N images.
        right: the objects in each.
        classes: how many there are.
        thresholds: of the intersection over union from which on a box is taken.
    """
    return tuple(_of_class(found, right, index, thresholds) for index in range(classes))


def average_precisions(of: Sequence[Hits], drawn: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
    """Of each class, and at each threshold, 0..1; NaN of a class of which there is no box.

    Args:
        of: the classes.
        drawn: [R, N], how often each image was drawn in each of R samples; None draws each once, in one sample.

    Returns:
        [classes, thresholds, R].
    """
    samples = np.ones((1, len(of[0].boxes)), np.int64) if drawn is None else drawn
    return np.stack([[_average_precision(one, place, samples) for place in range(len(one.hit))] for one in of])


def mean_over_classes(precisions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of [classes, …], without those of which there is no box; 0 where there is none at all."""
    known = ~np.isnan(precisions)
    found: NDArray[np.float64] = np.where(known, precisions, 0).sum(0) / np.maximum(known.sum(0), 1)
    return found


def drop(found: Sequence[Hits], expected: Sequence[Hits]) -> Interval:
    """By how much the mean average precision of ``found`` is lower, 0..1: each time the same images are drawn for both.

    Args:
        found: of one network, by class.
        expected: of the other, on the same images.
    """

    def lost(drawn: NDArray[np.int64]) -> NDArray[np.float64]:
        ours, theirs = (mean_over_classes(average_precisions(of, drawn)).mean(0) for of in (found, expected))
        difference: NDArray[np.float64] = theirs - ours
        return difference

    return resampled(lost, len(expected[0].boxes))


def _of_class(found: Sequence[Detections], right: Sequence[Boxes], index: int, thresholds: Sequence[float]) -> Hits:
    images, scores, hit, counts = [], [], [], []
    boxes = np.zeros(len(right), np.int64)
    for image, (all_seen, all_there) in enumerate(zip(found, right, strict=True)):
        seen = all_seen.some(all_seen.classes == index)
        seen = seen.some(np.argsort(-seen.scores, kind="stable")[:_MOST])
        there = all_there.some(all_there.classes == index)
        took, counted = _taken(seen, there, thresholds)
        boxes[image] = int((~there.is_crowd).sum())
        images.append(np.full(len(seen), image))
        scores.append(seen.scores)
        hit.append(took)
        counts.append(counted)
    order = np.argsort(-np.concatenate(scores), kind="stable")
    return Hits(
        np.concatenate(images)[order], np.concatenate(hit, 1)[:, order], np.concatenate(counts, 1)[:, order], boxes
    )


def _taken(seen: Detections, there: Boxes, thresholds: Sequence[float]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether each detection of an image, the most certain first, takes a box, and whether it counts."""
    shape = (len(thresholds), len(seen))
    hit, counts = np.zeros(shape, np.bool_), np.ones(shape, np.bool_)
    if not len(there):
        return hit, counts
    least = np.minimum(np.asarray(thresholds), _ALMOST_ONE)
    corners, crowd = seen.boxes.astype(np.float64), there.corners[there.is_crowd]
    overlaps = overlap(corners, there.corners[~there.is_crowd])
    in_crowd = shares(common(corners, crowd), np.repeat(areas(corners)[:, None], len(crowd), 1))
    free = np.ones((len(thresholds), overlaps.shape[1]), np.bool_)
    for place in np.flatnonzero((overlaps >= least.min()).any(1)):
        shared = np.where(free & (overlaps[place] >= least[:, None]), overlaps[place], -1.0)
        if shared.shape[1] == 0:
            break
        best = shared.shape[1] - 1 - shared[:, ::-1].argmax(1)  # of equal ones, the last
        hit[:, place] = shared[np.arange(len(least)), best] >= 0
        free[hit[:, place], best[hit[:, place]]] = False
    counts &= hit | ~(in_crowd[None] >= least[:, None, None]).any(2)
    return hit, counts


def _average_precision(of: Hits, place: int, drawn: NDArray[np.int64]) -> NDArray[np.float64]:
    """At one threshold, of each sample, [R]."""
    to_find = drawn @ of.boxes
    (hits,) = np.nonzero(of.hit[place])
    result = np.where(to_find > 0, 0.0, np.nan)
    if not len(hits):
        return result
    counted = np.flatnonzero(of.counts[place][: hits[-1] + 1])
    places = np.searchsorted(counted, hits)
    every = max(_AT_ONCE // len(counted), 1)
    for start in range(0, len(drawn), every):
        some = slice(start, start + every)
        found = np.cumsum(drawn[some][:, of.images[hits]], 1)  # by each hit, it included
        looked_at = np.cumsum(drawn[some][:, of.images[counted]], 1)[:, places]
        precision = shares(found.astype(np.float64), looked_at.astype(np.float64))
        precision = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
        recall = shares(found.astype(np.float64), np.broadcast_to(to_find[some, None], found.shape).astype(np.float64))
        reached = np.searchsorted(RECALLS, recall.ravel(), side="right").reshape(recall.shape)
        gained = np.diff(reached, axis=1, prepend=0)
        result[some] += (gained * precision).sum(1) / len(RECALLS)
    return result
