"""How far ranges depend on which images were seen: what some more of them would change.

The images are dealt out to a few groups, each with histograms of its own, whose sum is the histogram of all. Leaving
out one group after the other shows how far each end of a range moves: the delete-a-group jackknife (Kott, "The
delete-a-group jackknife", Journal of Official Statistics 17, 2001). With e_i the end without group i, of G,

    variance of the end from n images     v = (G - 1) / G * sum of (e_i - mean of e)^2

An end that is, to first order, a mean over images changes with m more images by a variance of v m / (n + m): both what
it was and what it becomes vary, but they share n images. A bound of 95 % is Student's t of G - 1 degrees of freedom
times the root of that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edgekit.calibration.observers import StreamingHistogram
from edgekit.calibration.ranges import RangeMethod, find_range, squared_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edgekit.calibration.ranges import Range

GROUPS = 8
WORTH = 0.1  # of a tensor's squared error, that a wider range has to take away
ODD = 1.5  # times as far as all other groups reaches a group with an odd image
MORE_IMAGES = 64
_STUDENT_T = 2.841  # two-sided 97.5 %, so that both ends together have 95 %; GROUPS - 1 = 7 degrees of freedom


@dataclass(frozen=True, slots=True)
class Stability:
    """What more images would change.

    Attributes:
        more_images: how many more.
        bounds: by tensor, in parts of its range: with a confidence of 95 % neither end moves by more.
    """

    more_images: int
    bounds: Mapping[str, float]

    @property
    def median(self) -> float:
        """The bound of the median tensor."""
        return float(np.median(list(self.bounds.values())))

    @property
    def worst(self) -> tuple[str, float]:
        """The tensor with the largest bound, and that bound."""
        return max(self.bounds.items(), key=lambda item: item[1])


def merged(histograms: Sequence[StreamingHistogram]) -> StreamingHistogram:
    """One histogram of everything that these have counted."""
    total = StreamingHistogram()
    for histogram in histograms:
        total.merge(histogram)
    return total


def without_one_outlier(
    found: Range, groups: Sequence[StreamingHistogram], find: Callable[[StreamingHistogram], Range]
) -> Range:
    """``found``, but neither end farther than in all groups but one: one odd image is in one group alone.

    Args:
        found: the range of all images.
        groups: ``GROUPS`` histograms, to which the images were dealt out.
        find: the range that follows from a histogram.
    """
    if any(not histogram.total for histogram in groups):
        return found
    own = [find(histogram) for histogram in groups]
    low, high = sorted(r.low for r in own)[1], sorted(r.high for r in own)[-2]
    return replace(found, low=max(found.low, low), high=min(found.high, high)) if high > low else found


def widened(found: Range, groups: Sequence[StreamingHistogram], find: Callable[[StreamingHistogram], Range]) -> Range:
    """``found``, or as far as the range of least squared error reaches, where that is worth it.

    A percentile counts values and not how far they reach: behind a sparse ReLU, or of an output of few values an image,
    what it cuts off can cost more than the finer grid gains. It is widened where that takes away ``WORTH`` of the
    squared error, but not towards what a single group shows: where one reaches ``ODD`` times as far as any other, an
    image in it is odd.

    Args:
        found: the range of all images, without an outlier.
        groups: ``GROUPS`` histograms, to which the images were dealt out.
        find: the range that follows from a histogram.
    """
    if any(not histogram.total for histogram in groups):
        return found
    whole, own = merged(groups), [find(histogram) for histogram in groups]
    least = find_range(whole, RangeMethod.MSE)
    (lowest, lower, *_), (*_, higher, highest) = sorted(r.low for r in own), sorted(r.high for r in own)
    low = found.low if lowest < ODD * lower else min(found.low, least.low)
    high = found.high if highest > ODD * higher else max(found.high, least.high)
    wider = replace(found, low=low, high=high)
    is_worth_it = squared_error(whole, wider) < (1 - WORTH) * squared_error(whole, found)
    return wider if is_worth_it else found


def range_stability(
    groups: Mapping[str, Sequence[StreamingHistogram]],
    find: Callable[[StreamingHistogram], Range],
    *,
    images: int,
    more_images: int = MORE_IMAGES,
) -> Stability | None:
    """What ``more_images`` would change, by tensor; None where a group has seen no image, so that nothing can be said.

    Args:
        groups: ``GROUPS`` histograms of each tensor, to which the images were dealt out evenly.
        find: the range that follows from a histogram.
        images: how many were seen in all.
        more_images: how many more are thought of.
    """
    if any(not histogram.total for histograms in groups.values() for histogram in histograms):
        return None
    share = math.sqrt(more_images / (images + more_images))
    bounds = {}
    for name, histograms in groups.items():
        assert len(histograms) == GROUPS
        found = [find(merged([other for other in histograms if other is not left_out])) for left_out in histograms]
        ends = np.array([(r.low, r.high) for r in found])  # [GROUPS, 2]
        spread = np.sqrt((GROUPS - 1) / GROUPS * ((ends - ends.mean(0)) ** 2).sum(0))
        width = float(np.diff(ends).mean())
        bounds[name] = _STUDENT_T * float(spread.max()) * share / width
    return Stability(more_images, bounds)
