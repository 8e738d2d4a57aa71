"""Is a file slower than another one? Both are timed in turns, in pairs of fresh processes, until that is settled.

Times of different runs are never compared: between two runs, a machine may have other work, another clock or another
temperature. What is compared are two processes that take turns every few milliseconds on the same core, so that noise
hits both alike. What is timed is one thread, by the processor time that it gets: the latency that it would have if
nobody took the core away. Of each turn the shortest run counts, because whatever others do to a run makes it longer.

What is left is the luck of a process: where its memory lies decides by up to some percent how fast it is, as long as it
lives. So there is not one pair of processes but several, and the ratio of each pair counts as one observation, whatever
the noise inside. The limits of the interval are order statistics of these observations: they hold for every
distribution, as long as the pairs are alike (H. A. David, H. N. Nagaraja, Order Statistics, third edition, section
7.1).
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.device.workers import Worker
from edgekit.progress import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from edgekit.device.plan import PlannedFile

# How many pairs there are when it is looked whether the limit lies outside of the interval, and the rank of the ratio
# that ends the interval on either side. The median lies outside with probability 2 P(Binomial(pairs, 1/2) < rank), 1.6,
# 1.2 and 1.3 %: at any of the looks with 4 % at most (Bonferroni), so the interval is one of 95 %, however it ends.
LOOKS: Final = ((7, 1), (11, 2), (17, 4))

_RUNS = 4  # of one process before the other has its turn
_PAIR_SECONDS = 0.3  # timing of one pair of processes
_LEAST_TURNS = 8  # of each, however long they take


@dataclass(frozen=True, slots=True)
class Estimate:
    """A ratio of latencies.

    Attributes:
        ratio: candidate over baseline; the median of all pairs of processes.
        low: it is at least that, with 95 % confidence,
        high: and at most that.
        pairs: how many pairs of processes were timed.
    """

    ratio: float
    low: float
    high: float
    pairs: int


@dataclass(frozen=True, slots=True)
class LatencyRatio:
    """A file's latency over another's.

    Attributes:
        runner: runtime, version and kernels that ran the file.
        estimate: of the ratio.
        limit: what it may be.
        candidate_ms: an undisturbed run of the file, here and now.
        baseline_ms: likewise of the other one.
        seconds: that it took to find out.
    """

    runner: str
    estimate: Estimate
    limit: float
    candidate_ms: float
    baseline_ms: float
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether the ratio is within the limit; where that is not settled, whether it is likelier so than not."""
        return self.estimate.ratio <= self.limit

    @property
    def settled(self) -> bool:
        """Whether the limit lies outside of the interval."""
        return not self.estimate.low <= self.limit <= self.estimate.high


def compare_latency(
    candidate: PlannedFile, baseline: PlannedFile, *, limit: float, progress: Progress = silent
) -> LatencyRatio:
    """Time a file against another one, for as long as it takes to tell on which side of ``limit`` their ratio is.

    Args:
        candidate: the new file.
        baseline: the old one.
        limit: largest ratio that is allowed.
        progress: told about every pair of processes.

    Raises:
        ArtifactError: a file cannot be run.
        MissingDependency: a file's runtime is not installed.
    """
    started = time.perf_counter()
    at_most = LOOKS[-1][0]
    stage = f"timing against the baseline, {Path(candidate.path).name}"
    pairs: list[_Pair] = []

    def ratios() -> Iterator[float]:
        for number in range(at_most):
            progress(stage, number, at_most)
            pairs.append(_time_pair(baseline, candidate, number))
            yield float(np.median(pairs[-1].candidate_ms / pairs[-1].baseline_ms))

    estimate = estimate_ratio(ratios(), limit)
    progress(stage, at_most, at_most)
    return LatencyRatio(
        runner=pairs[0].runner,
        estimate=estimate,
        limit=limit,
        candidate_ms=median(float(pair.candidate_ms.min()) for pair in pairs),
        baseline_ms=median(float(pair.baseline_ms.min()) for pair in pairs),
        seconds=time.perf_counter() - started,
    )


def estimate_ratio(ratios: Iterable[float], limit: float) -> Estimate:
    """The median of as many ``ratios`` as it takes to tell it from ``limit``, and an interval around it.

    >>> estimate_ratio([1.0, 1.01, 0.99, 1.02, 1.0, 0.98, 1.0], limit=1.07)
    Estimate(ratio=1.0, low=0.98, high=1.02, pairs=7)
    """
    source, seen = iter(ratios), list[float]()
    for pairs, rank in LOOKS:
        seen += islice(source, pairs - len(seen))
        low, high = sorted(seen)[rank - 1], sorted(seen)[-rank]
        if not low <= limit <= high:
            break
    return Estimate(median(seen), low, high, len(seen))


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two processes: which runtime, and processor time of the shortest run of each turn, [turns]."""

    runner: str
    candidate_ms: NDArray[np.float64]
    baseline_ms: NDArray[np.float64]


def _time_pair(baseline: PlannedFile, candidate: PlannedFile, number: int) -> _Pair:
    """Time a pair of fresh processes.

    Which is started first, on which core they are, and who begins a turn changes from one to the next.
    """
    with ExitStack() as stack:
        old, new = (Worker(file, Path()) for file in (baseline, candidate))
        workers = [new, old] if number // 2 % 2 else [old, new]
        for worker in workers:
            stack.enter_context(worker).begin()
        for worker in workers:
            worker.wait()
        if sys.platform == "linux":
            cores = sorted(os.sched_getaffinity(0))
            for worker in workers:
                worker.pin(cores[number % len(cores)])
        shortest_ms: dict[Worker, list[float]] = {old: [], new: []}
        ends = time.perf_counter() + _PAIR_SECONDS
        while len(shortest_ms[old]) < _LEAST_TURNS or time.perf_counter() < ends:
            for worker in workers:
                shortest_ms[worker].append(min(worker.work(_RUNS)))
            workers.reverse()
        return _Pair(new.runner, np.array(shortest_ms[new]), np.array(shortest_ms[old]))
