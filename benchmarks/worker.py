"""The process that runs one file: ``python -m edgekit.benchmarks.worker FILE THREADS WARMUP``.

``edgekit.runtimes.processes`` says how it is spoken to. ``start`` loads the file and warms up, ``pin CORE`` keeps the
process on one core, ``run N`` gives N latencies, and ``work N`` the processor time of N runs. ``memory SHAPE DTYPE``
stands alone: it loads the file, runs it on zeros of that shape ("1,3,224,224"), and gives the memory that this took.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from edgekit.benchmarks.memory import PeakMemory
from edgekit.errors import ArtifactError, EdgekitError
from edgekit.exporters.formats import format_of
from edgekit.exporters.metadata import IoDtype
from edgekit.runtimes.catalog import default_runner
from edgekit.runtimes.runner import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from edgekit.exporters.metadata import Metadata
    from edgekit.runtimes.runner import Runner

RUNS = 3  # some runtimes allocate in the first run, or in the second, when they know what the first one needed


def main(path: Path, threads: int, warmup: int) -> None:
    """Answer commands until stdin ends."""
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what a runtime prints must not look like an answer
        serve(sys.stdin, answers, path, threads=threads, warmup=warmup)


def serve(commands: Iterable[str], answers: TextIO, path: Path, *, threads: int, warmup: int) -> None:
    """Answer each command with a line."""
    invoke: Callable[[], object] = _not_started
    for line in commands:
        command, *arguments = line.split()
        answer: dict[str, Any]
        try:
            match command:
                case "start":
                    invoke, answer = _start(path, threads)
                    _time(invoke, warmup)
                case "pin":
                    os.sched_setaffinity(0, {int(arguments[0])})
                    answer = {}
                case "memory":
                    shape = tuple(int(size) for size in arguments[0].split(","))
                    answer = _memory(path, threads, np.zeros(shape, arguments[1]))
                case "work":
                    answer = {"cpu_ms": _time(invoke, int(arguments[0]), time.process_time)}
                case _:
                    answer = {"latencies_ms": _time(invoke, int(arguments[0]))}
        except EdgekitError as error:
            answer = {"error": type(error).__name__, "message": str(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _start(path: Path, threads: int) -> tuple[Callable[[], object], dict[str, Any]]:
    """A function that runs the file once, and what there is to say about its runner."""
    make_runner = _runner_of(path, threads)
    metadata = format_of(path).read(path).metadata
    if metadata is None:
        raise ArtifactError(f"{path} was not written by edgekit: it does not say how to feed it")
    started = time.perf_counter()
    runner = make_runner()
    load_ms = (time.perf_counter() - started) * 1e3
    placement = getattr(runner, "placement", None)
    about = {
        "runner": runner.name,
        "load_ms": load_ms,
        "delegate_pieces": None if placement is None else placement.pieces,
        "outside": [] if placement is None else list(placement.outside),
    }
    return runner.bind(noise(metadata)), about


def _memory(path: Path, threads: int, batch: NDArray[Any]) -> dict[str, Any]:
    """What there is to say about its runner, and the memory that loading and running the file takes.

    Nothing else is done in this process: what reading the metadata allocates and frees would be there for the taking.
    """
    make_runner = _runner_of(path, threads)
    watch = PeakMemory()
    with make_runner() as runner:
        _time(runner.bind(batch), RUNS)
        return {"runner": runner.name, "peak_mib": watch.risen_mib()}


def _runner_of(path: Path, threads: int) -> Callable[[], Runner]:
    make_runner = default_runner(path, threads=threads)
    if make_runner is None:
        raise ArtifactError(f"this machine has no runtime for {format_of(path).title} ({path}): bench it on a Mac")
    return make_runner


def noise(metadata: Metadata) -> NDArray[Any]:
    """One image of reproducible noise at the file's boundary: [1, C, H, W]. No kernel's time depends on the values."""
    random = np.random.default_rng(0)
    shape = (1, *metadata.preprocessing.size, len(metadata.preprocessing.mean))
    pixels = random.integers(0, 256, shape, np.uint8)
    if metadata.io_dtype is IoDtype.FLOAT32 or metadata.pixel_input:
        return encode(pixels, metadata, None)
    dtype = np.dtype(metadata.io_dtype)
    return pixels.transpose(0, 3, 1, 2).astype(dtype)


def _not_started() -> None:
    raise AssertionError("start comes first")


def _time(run: Callable[[], object], times: int, clock: Callable[[], float] = time.perf_counter) -> list[float]:
    """Milliseconds of each of ``times`` runs, by a clock that counts seconds."""
    measured = []
    for _ in range(times):
        started = clock()
        run()
        measured.append((clock() - started) * 1e3)
    return measured


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
