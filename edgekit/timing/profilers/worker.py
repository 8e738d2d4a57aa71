"""The process that profiles one file: ``python -m edgekit.timing.profilers.worker FILE THREADS``.

``edgekit.device.processes`` says how it is spoken to. ``start`` loads the file, ``shapes`` gives the shape and type of
each of its activations, ``time N`` the milliseconds of N runs, and ``profile N`` those of N runs together with the
kernels of N others, which take turns with them.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.device.worker import times_ms
from edgekit.errors import ArtifactError, EdgekitError
from edgekit.exporters.formats import format_of
from edgekit.runtimes.catalog import default_runner, needed_elsewhere, profiling_of
from edgekit.runtimes.runner import noise
from edgekit.runtimes.tracing import TracingRunner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import TextIO

    from numpy.typing import NDArray

    from edgekit.runtimes.profilers.profiler import Kernel
    from edgekit.runtimes.runner import Runner

WARMUP = 5
TURN = 10  # runs of one kind before the other has its turn


def main(path: Path, threads: int) -> None:
    """Answer commands until stdin ends."""
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what a runtime prints must not look like an answer
        serve(sys.stdin, answers, path, threads=threads)


def serve(commands: Iterable[str], answers: TextIO, path: Path, *, threads: int) -> None:
    """Answer each command with a line."""
    runner: Runner | None = None
    for line in commands:
        command, *numbers = line.split()
        answer: dict[str, Any]
        try:
            if runner is None:
                runner, batch = _open(path, threads), _batch(path)
            match command:
                case "start":
                    answer = {"runner": runner.name}
                case "shapes":
                    answer = {"tensors": _shapes(runner, batch)}
                case "time":
                    answer = {"ms": _time(runner.bind(batch), WARMUP + int(numbers[0]), threads)[WARMUP:]}
                case _:
                    answer = _profile(path, runner, batch, threads, int(numbers[0]))
        except EdgekitError as error:
            answer = {"error": type(error).__name__, "message": str(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _open(path: Path, threads: int) -> Runner:
    make_runner = default_runner(path, threads=threads)
    if make_runner is None:
        raise ArtifactError(f"{path} needs {needed_elsewhere(format_of(path).name)}")
    return make_runner()


def _batch(path: Path) -> NDArray[Any]:
    metadata = format_of(path).read(path).metadata
    if metadata is None:
        raise ArtifactError(f"{path} was not written by edgekit: it does not say how to feed it")
    return noise(metadata)


def _shapes(runner: Runner, batch: NDArray[Any]) -> dict[str, tuple[tuple[int, ...], str]]:
    """The shape [C, H, W] or [C] and type of each activation, by its name in the file."""
    assert isinstance(runner, TracingRunner), "every runtime with a profiler shows its tensors"
    return {name: (array.shape[1:], array.dtype.name) for name, array in runner.trace(batch).items()}


def _profile(path: Path, runner: Runner, batch: NDArray[Any], threads: int, runs: int) -> dict[str, Any]:
    """Runs without the profiler in turns with runs under it."""
    whole = runner.bind(batch)
    profiler = profiling_of(path).open(path, batch, threads=threads)
    _time(whole, WARMUP, threads)
    profiler.run(WARMUP)
    whole_ms: list[float] = []
    profiled: list[Sequence[Kernel]] = []
    for done in range(0, runs, TURN):
        turn = min(TURN, runs - done)
        whole_ms += _time(whole, turn, threads)
        profiled += profiler.run(1 + turn)[1:]  # the first finds other files in the caches
    return {
        "whole_ms": whole_ms,
        "profiled": profiled,
        "source": profiler.source,
        "resolution_us": profiler.resolution_us,
    }


def _time(run: Callable[[], object], times: int, threads: int) -> list[float]:
    """Milliseconds of each of ``times`` runs.

    Of one thread it is the processor time that counts: what it takes if nobody else wants the processor.
    """
    return times_ms(run, times, time.process_time if threads == 1 else time.perf_counter)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
