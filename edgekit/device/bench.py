"""The measurement itself: files take turns, lap after lap, each lap in fresh processes.

``edgekit.device.statistics`` says why there are laps and what an interval is, ``edgekit.device.worker`` what a run is.
Within a lap the files take turns every few hundredths of a second, so that what disturbs the machine disturbs all of
them alike, and their ratio within the lap is better known than either time.

A run during which the processor was given to another process measures that process, too: it does not count, and how
many there were is told. On a machine so busy that hardly any run is left alone, all of them count, and the result is
dirty.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import count
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.device import machine
from edgekit.device.engines import GPU_ENGINES
from edgekit.device.engines.engine import FixedBatch
from edgekit.device.opening import size_bytes
from edgekit.device.reasons import dirty, slow_because
from edgekit.device.results import Ratio, Refusal, Results, Row
from edgekit.device.statistics import interval, interval_of_times
from edgekit.device.workers import Worker, peak_memory
from edgekit.errors import ArtifactError, MissingDependency
from edgekit.progress import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edgekit.device.plan import Plan, PlannedFile

TURN_SECONDS = 0.04  # of one file before the next one has its turn
LAP_SECONDS = 0.6  # of timing for each file of a lap, at least
LAP_RUNS = 10  # that were not interrupted; until there are so many, a lap goes on,
LAP_PATIENCE = 2  # for so many times as long at most
FEWEST_RUNS = 3  # without an interruption that a lap's figure can be made of


def bench(plan: Plan, folder: Path, progress: Progress = silent) -> Results:
    """Time every file of a plan under all of its conditions, here and now.

    Args:
        plan: what is measured.
        folder: where its relative paths start from.
        progress: told about each file's memory, and about each lap.

    Raises:
        ArtifactError: a file cannot be run, or none takes any of the batches.
        MissingDependency: a file's runtime is not installed; a GPU that is missing is told instead.
    """
    watch = machine.Watch()
    timed: list[_Timed] = []
    refused: dict[tuple[str, int], Refusal] = {}
    every = plan.threads or range(1, machine.cores() + 1)
    conditions = [(threads, batch) for batch in plan.batches for threads in every]
    total = len(conditions) * len(plan.files)
    for done, (file, threads, batch) in enumerate((f, *condition) for condition in conditions for f in plan.files):
        progress("measuring memory", done, total)
        try:
            _, peak_mib = peak_memory(file, folder, threads=threads, batch=batch)
        except FixedBatch as error:
            refused[file.path, batch] = Refusal(file.path, batch, str(error))  # once, with however many threads
        except MissingDependency as error:
            if file.engine not in GPU_ENGINES:
                raise
            refused[str(error), batch] = Refusal(file.path, batch, f"not timed on a GPU: {error}")  # once for all files
        else:
            timed.append(_Timed(file, threads, batch, peak_mib))
    progress("measuring memory", total, total)
    if not timed:
        raise ArtifactError("; ".join(refusal.reason for refusal in refused.values()))
    processes, begun = plan.laps * len(timed), count()
    for turn in range(plan.laps * len(conditions)):  # never as a list: somebody asks for a hundred million laps
        lap, condition = turn // len(conditions), conditions[turn % len(conditions)]
        files = [t for t in timed if (t.threads, t.batch) == condition]
        _lap(files, folder, lap, lambda: progress("timing", next(begun), processes))
        watch.look()
    progress("timing", processes, processes)
    found = machine.examine()
    fared = watch.conditions()
    rows = tuple(_row(t, timed, folder, found) for t in timed)
    return Results(rows, tuple(refused.values()), found, fared, dirty(fared, found, rows), plan.laps)


@dataclass(frozen=True)
class _Timed:
    """One file under one condition, and what is found in lap after lap."""

    file: PlannedFile
    threads: int
    batch: int
    peak_mib: float | None
    about: list[dict[str, Any]] = field(default_factory=list)
    warmup_runs: list[int] = field(default_factory=list)
    counted_ms: list[list[float]] = field(default_factory=list)
    runs: list[int] = field(default_factory=list)
    interrupted: list[int] = field(default_factory=list)

    @property
    def laps_ms(self) -> list[float]:
        """The figure of each lap."""
        return [median(runs) for runs in self.counted_ms]


def _lap(files: list[_Timed], folder: Path, number: int, begins: Callable[[], None]) -> None:
    """Time files that take turns, each in a fresh process, which ``begins`` is told of; the first changes each time."""
    order = files[number % len(files) :] + files[: number % len(files)] if files else []
    with ExitStack() as stack:
        workers = []
        for timed in order:  # one after the other: starting is timed, too
            begins()
            worker = Worker(timed.file, folder, threads=timed.threads, batch=timed.batch)
            workers.append(stack.enter_context(worker))
            worker.start()
            timed.about.append(worker.about)
            timed.warmup_runs.append(worker.warm())
        laps = [_Lap() for _ in order]
        while not all(lap.is_done for lap in laps):
            for worker, lap in zip(workers, laps):
                lap.add(*worker.time(TURN_SECONDS))
    for timed, lap in zip(order, laps):
        timed.counted_ms.append(lap.counted_ms())
        timed.runs.append(len(lap.interrupted))
        timed.interrupted.append(sum(lap.interrupted))


class _Lap:
    """The runs of one process."""

    def __init__(self) -> None:
        self.latencies_ms: list[float] = []
        self.interrupted: list[bool] = []

    def add(self, latencies_ms: list[float], interrupted: list[bool]) -> None:
        """A turn."""
        self.latencies_ms += latencies_ms
        self.interrupted += interrupted

    def counted_ms(self) -> list[float]:
        """The runs that count."""
        alone = [run_ms for run_ms, other in zip(self.latencies_ms, self.interrupted) if not other]
        return alone if len(alone) >= FEWEST_RUNS else self.latencies_ms

    @property
    def is_done(self) -> bool:
        """Whether there are enough."""
        seconds = sum(self.latencies_ms) / 1e3
        enough = self.interrupted.count(False) >= LAP_RUNS or seconds >= LAP_PATIENCE * LAP_SECONDS
        return seconds >= LAP_SECONDS and enough


def _row(timed: _Timed, others: list[_Timed], folder: Path, found: machine.Machine) -> Row:
    file, about = timed.file, timed.about[0]
    runs_ms = np.concatenate(timed.counted_ms)
    p90, p99 = (float(p) for p in np.percentile(runs_ms, (90, 99)))
    baseline = next(_baselines(timed, others), None)
    ratio = None
    if baseline is not None:
        pairs = zip(timed.laps_ms, baseline.laps_ms)
        ratio = Ratio(baseline.file.path, interval([ours / theirs for ours, theirs in pairs]))
    row = Row(
        path=file.path,
        precision=file.precision,
        runner=about["runner"],
        threads=timed.threads,
        batch=timed.batch,
        size_bytes=size_bytes(folder / file.path, file.engine),
        p50_ms=interval_of_times(timed.counted_ms),
        p90_ms=p90,
        p99_ms=p99,
        laps_ms=tuple(timed.laps_ms),
        runs=sum(timed.runs),
        interrupted=sum(timed.interrupted),
        warmup_runs=median(timed.warmup_runs),
        cold_start_ms=median(lap["cold_start_ms"] for lap in timed.about),
        load_ms=median(lap["load_ms"] for lap in timed.about),
        first_ms=median(lap["first_ms"] for lap in timed.about),
        peak_mib=timed.peak_mib,
        delegate_pieces=about["delegate_pieces"],
        outside=tuple(about["outside"]),
        ratio=ratio,
        slow_because=None,
    )
    is_twin = baseline is not None and baseline.file.precision.startswith("float")
    return replace(row, slow_because=slow_because(row, found)) if is_twin else row


def _baselines(timed: _Timed, others: list[_Timed]) -> Iterator[_Timed]:
    """What a file is compared with, under the same condition."""
    for other in others:
        if (other.file.path, other.threads, other.batch) == (timed.file.baseline, timed.threads, timed.batch):
            yield other
