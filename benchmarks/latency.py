"""Latency of files, each in a process of its own, interleaved so that a noisy machine disturbs all of them alike."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from edgekit.progress import Progress, silent
from edgekit.runtimes.processes import Process, our_environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

ROUND = 10  # runs of one file before the next one has its turn
ANSWER_SECONDS = 300.0  # what takes longer hangs: loading and importing torch on a Raspberry Pi takes half a minute


@dataclass(frozen=True, slots=True)
class Latency:
    """Measured time of single runs at batch 1.

    Attributes:
        path: of the file.
        runner: runtime, version and kernels.
        threads: that one run may use.
        runs: how many were timed, after the warm-up.
        p50_ms: median.
        p90_ms: 90th percentile.
        p99_ms: 99th percentile.
        load_ms: from the file to a runner that is ready, imports apart.
        delegate_pieces: partitions that a delegate runs; None where the runtime has none.
        outside: operators that are left to the runtime's slower kernels.
    """

    path: Path
    runner: str
    threads: int
    runs: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    load_ms: float
    delegate_pieces: int | None
    outside: tuple[str, ...]


def measure(
    paths: Sequence[Path], *, threads: int = 1, runs: int = 200, warmup: int = 20, progress: Progress = silent
) -> tuple[Latency, ...]:
    """Time every file, taking turns.

    Raises:
        ArtifactError: a file cannot be run.
        MissingDependency: a file's runtime is not installed.
    """
    with ExitStack() as stack:
        workers = []
        for done, path in enumerate(paths):  # one after the other: loading is timed, too
            progress("loading", done, len(paths))
            workers.append(stack.enter_context(Worker(path, threads=threads, warmup=warmup)))
            workers[-1].start()
        progress("loading", len(paths), len(paths))
        times: list[list[float]] = [[] for _ in workers]
        for done in range(0, runs, ROUND):
            progress("timing", done, runs)
            for worker, times_ms in zip(workers, times, strict=True):
                times_ms.extend(worker.run(min(ROUND, runs - done)))
        progress("timing", runs, runs)
        return tuple(worker.latency(np.array(times_ms)) for worker, times_ms in zip(workers, times, strict=True))


class Worker:
    """A process that runs one file; see ``benchmarks.worker`` for what is said over its pipes.

    What it is asked raises ArtifactError where the file cannot be run or its runtime crashes or hangs, and
    MissingDependency where that is not installed.
    """

    def __init__(self, path: Path, *, threads: int, warmup: int, environment: Mapping[str, str] | None = None) -> None:
        """It starts with the ``with`` block, with our variables and those of ``environment``."""
        self.path, self.threads, self.warmup = path, threads, warmup
        self._environment = {**our_environment(), **(environment or {})}
        self._about: dict[str, Any] = {}

    def __enter__(self) -> Self:
        # -P and our own path: it imports what we do, whatever modules lie in the working directory.
        command = [sys.executable, "-P", "-m", "edgekit.benchmarks.worker"]
        self._process = Process(
            [*command, str(self.path), str(self.threads), str(self.warmup)], str(self.path), self._environment
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.__exit__(kind, error, trace)

    def start(self) -> None:
        """Load the file and warm up."""
        self.begin()
        self.wait()

    def begin(self) -> None:
        """Let it load the file and warm up, while others do the same; ``wait`` ends it."""
        self._process.tell("start")

    def wait(self) -> None:
        """Wait until what was begun is done."""
        self._about, _ = self._process.answer(seconds=ANSWER_SECONDS)

    @property
    def runner(self) -> str:
        """Runtime, version and kernels, once it is started."""
        name: str = self._about["runner"]
        return name

    def pin(self, core: int) -> None:
        """Keep it on one core."""
        self._ask(f"pin {core}")

    def run(self, times: int) -> list[float]:
        """Milliseconds of each run."""
        measured: list[float] = self._ask(f"run {times}")["latencies_ms"]
        return measured

    def work(self, times: int) -> list[float]:
        """Milliseconds of processor time of each run."""
        measured: list[float] = self._ask(f"work {times}")["cpu_ms"]
        return measured

    def memory(self, batch: NDArray[Any]) -> dict[str, Any]:
        """What running the file on a batch of this shape and type takes; in a worker that does nothing else."""
        return self._ask(f"memory {','.join(map(str, batch.shape))} {batch.dtype}")

    def latency(self, times_ms: NDArray[np.float64]) -> Latency:
        """What was measured, summed up."""
        p50, p90, p99 = (float(p) for p in np.percentile(times_ms, (50, 90, 99)))
        return Latency(
            path=self.path,
            runner=self.runner,
            threads=self.threads,
            runs=len(times_ms),
            p50_ms=p50,
            p90_ms=p90,
            p99_ms=p99,
            load_ms=self._about["load_ms"],
            delegate_pieces=self._about["delegate_pieces"],
            outside=tuple(self._about["outside"]),
        )

    def _ask(self, command: str) -> dict[str, Any]:
        values, _ = self._process.ask(command, seconds=ANSWER_SECONDS)
        return values
