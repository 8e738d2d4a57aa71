"""Intervals for figures that differ from one process to the next, and from one minute to the next.

A file is timed in several laps. In each of them a fresh process runs it, because where the memory of a process lies
decides by some percent how fast it is, as long as it lives; and each lap has a time of its own, because what else the
machine does comes and goes. One lap gives one figure, the median of its runs, however many these are: only between laps
does everything change that can change from one measurement to another.

**The figure** of k laps is their median. **The interval** is the r-th smallest to the r-th largest of the k, and says
where another measurement of k laps would find its own figure. A confidence interval of the true median would be
narrower and say less: the figure of another measurement has an error, too. Nothing is assumed of the distribution,
only that the laps of both measurements could be exchanged for each other. Then every order of the 2 k figures is as
likely as any other, and probabilities are counted. Let B be the other measurement, and m = (k + 1) / 2 the rank of its
median. That lies below the r-th smallest of ours if at least m of B do. Exactly j of B lie below it in
C(r - 1 + j, j) C(2 k - r - j, k - j) of all C(2 k, k) orders: those below it, and those above it, in every order. So

    P(covered) = 1 - 2 sum over j from m to k of C(r - 1 + j, j) C(2 k - r - j, k - j) / C(2 k, k).

The sum is that of the exceedance statistics: G. J. Hahn, W. Q. Meeker, Statistical Intervals, 1991, section 5.4 and
appendix A. Ratios of two files within a lap are such figures: what slows the machine down slows both.

**Times** are no such figures on a machine that is not alone. It changes between states (the other core busy or idle, a
clock that is high or low), and the laps of one measurement, which lie close together, meet a mix of them that those of
another one do not. Let a state s have a share w of our runs, and let half of its runs take less than m. Then at least
w / 2 of all our runs take m or less, and as many m or more: m lies between our p-quantile and our (1 - p)-quantile if
w >= 2 p. A measurement that meets the same states in any other mix has its median between the smallest and the largest
m, hence there, too. So the interval of a time is widened to these quantiles, with p half of ``STATE``. On a quiet
machine that is how far single runs scatter; on a busy one it says how little one measurement knows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate
from math import comb
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

LEVEL = 0.98
STATE = 0.01  # share of the runs from which on a state of the machine is covered


@dataclass(frozen=True)
class Interval:
    """A figure, and where another measurement would find it.

    Attributes:
        value: the median of the laps.
        low: it is at least that,
        high: and at most that.
        coverage: of another measurement's figure, 0..1, as far as laps decide it; below ``LEVEL`` if there are too few.
    """

    value: float
    low: float
    high: float
    coverage: float


def interval(laps: Sequence[float]) -> Interval:
    """The median of one figure a lap, and its interval.

    >>> interval([3.0, 1.0, 2.0])
    Interval(value=2.0, low=1.0, high=3.0, coverage=0.6)
    """
    ordered = sorted(laps)
    rank = rank_for(len(ordered))
    return Interval(median(ordered), ordered[rank - 1], ordered[-rank], coverage(len(ordered), rank))


def interval_of_times(laps: Sequence[Sequence[float]]) -> Interval:
    """The median of the medians of laps, and its interval over the states of the machine.

    Args:
        laps: the runs of each; every lap counts the same, however many it has.

    >>> interval_of_times([[1.0, 1.0, 2.0], [1.0, 1.0, 1.0], [3.0, 1.0, 1.0]])
    Interval(value=1.0, low=1.0, high=3.0, coverage=0.6)
    """
    found = interval([median(runs) for runs in laps])
    weighted = sorted((run, 1 / len(runs)) for runs in laps for run in runs)
    fast, slow = _first_beyond(weighted, STATE / 2 * len(laps)), _first_beyond(weighted[::-1], STATE / 2 * len(laps))
    return replace(found, low=min(found.low, fast), high=max(found.high, slow))


def _first_beyond(weighted: Sequence[tuple[float, float]], weight: float) -> float:
    """The first value at which the weights add up to more than ``weight``."""
    total = accumulate(weight for _, weight in weighted)
    return next(value for (value, _), up_to_here in zip(weighted, total) if up_to_here > weight)


def rank_for(laps: int) -> int:
    """The largest rank whose interval covers another measurement's median with ``LEVEL``; 1 if there is none.

    >>> rank_for(5), rank_for(11), rank_for(25)
    (1, 1, 5)
    """
    ranks = [rank for rank in range(1, (laps + 1) // 2 + 1) if coverage(laps, rank) >= LEVEL]
    return max(ranks, default=1)


def coverage(laps: int, rank: int) -> float:
    """The probability that the median of other ``laps`` lies within the ``rank``-th of ours from either end.

    Of an even number of laps, the two in the middle have to.

    >>> round(coverage(9, 1), 4), round(coverage(11, 1), 4)
    (0.9706, 0.9876)
    """
    middle = (laps + 1) // 2
    orders = (comb(rank - 1 + j, j) * comb(2 * laps - rank - j, laps - j) for j in range(middle, laps + 1))
    return max(0.0, 1 - 2 * sum(orders) / comb(2 * laps, laps))
