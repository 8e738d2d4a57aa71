"""Latency of files, each in a process of its own, interleaved so that a noisy machine disturbs all of them alike."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Self

import numpy as np

from edgekit import errors
from edgekit.progress import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

ROUND = 10  # runs of one file before the next one has its turn


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
        workers = [stack.enter_context(_Worker(path, threads, warmup)) for path in paths]
        for worker in workers:  # one after the other: loading is timed, too
            worker.start()
        times: list[list[float]] = [[] for _ in workers]
        done = 0
        while done < runs:
            share = min(ROUND, runs - done)
            for worker, measured in zip(workers, times, strict=True):
                measured += worker.run(share)
            done += share
            progress("timing", done, runs)
        return tuple(worker.latency(np.array(measured)) for worker, measured in zip(workers, times, strict=True))


class _Worker:
    """A process that runs one file; see ``benchmarks.worker`` for what is said over its pipes."""

    def __init__(self, path: Path, threads: int, warmup: int) -> None:
        self.path, self.threads, self.warmup = path, threads, warmup
        self._about: dict[str, Any] = {}

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "edgekit.benchmarks.worker", str(self.path), str(self.threads), str(self.warmup)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def start(self) -> None:
        """Load the file and warm up."""
        self._about = self._ask("start")

    def run(self, times: int) -> list[float]:
        """Milliseconds of each run."""
        measured: list[float] = self._ask(f"run {times}")["latencies_ms"]
        return measured

    def latency(self, measured_ms: NDArray[np.float64]) -> Latency:
        p50, p90, p99 = (float(p) for p in np.percentile(measured_ms, (50, 90, 99)))
        return Latency(
            path=self.path,
            runner=self._about["runner"],
            threads=self.threads,
            runs=len(measured_ms),
            p50_ms=p50,
            p90_ms=p90,
            p99_ms=p99,
            load_ms=self._about["load_ms"],
            delegate_pieces=self._about["delegate_pieces"],
            outside=tuple(self._about["outside"]),
        )

    def _ask(self, line: str) -> dict[str, Any]:
        stdin, stdout = _pipes(self._process)
        try:
            stdin.write(line + "\n")
            stdin.flush()
            answer = stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise errors.ArtifactError(f"{self.path} crashed its runtime (exit code {self._process.wait()})")
        values: dict[str, Any] = json.loads(answer)
        if "error" in values:
            raise getattr(errors, values["error"])(values["message"])
        return values


def _pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout
