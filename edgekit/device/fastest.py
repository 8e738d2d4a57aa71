"""The latency of files that nothing disturbs, of many files in little time.

``edgekit.device.bench`` says how a file fares on a machine as it is. Here it is asked what a run takes on a machine
that does nothing else: the shortest run of a few fresh processes, because whatever others do to a run makes it longer.
Of one thread, the processor time counts where it is shorter than the time that passed: the processor may have been
given to somebody else meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.device.workers import Worker
from edgekit.progress import Progress, silent

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.device.plan import Plan, PlannedFile

SECONDS = 0.2  # of timing in each process
RUNS = 5  # at least that are timed by the processor's clock


@dataclass(frozen=True)
class Fastest:
    """One file.

    Attributes:
        path: as planned.
        runner: runtime, version and kernels.
        ms: the shortest run.
    """

    path: str
    runner: str
    ms: float


def fastest(plan: Plan, folder: Path, progress: Progress = silent) -> tuple[Fastest, ...]:
    """Time every file of a plan, one image at a time, with the plan's first number of threads.

    Args:
        plan: what is measured; the order of files changes from lap to lap.
        folder: where its relative paths start from.
        progress: told about each process.

    Raises:
        ArtifactError: a file cannot be run.
        MissingDependency: a file's runtime is not installed.
    """
    (threads, *_), found = plan.threads, dict[str, Fastest]()
    total = plan.laps * len(plan.files)
    for lap in range(plan.laps):
        for place, file in enumerate(plan.files[:: 1 if lap % 2 else -1]):
            progress("timing", lap * len(plan.files) + place, total)
            once = _once(file, folder, threads)
            found[file.path] = min(once, found.get(file.path, once), key=lambda one: one.ms)
    progress("timing", total, total)
    return tuple(found[file.path] for file in plan.files)


def _once(file: PlannedFile, folder: Path, threads: int) -> Fastest:
    with Worker(file, folder, threads=threads) as worker:
        worker.start()
        worker.warm()
        runs_ms, _ = worker.time(SECONDS)
        if threads == 1:
            runs_ms += worker.work(max(RUNS, round(SECONDS * 1e3 / min(runs_ms) / 2)))
        return Fastest(file.path, worker.runner, min(runs_ms))
