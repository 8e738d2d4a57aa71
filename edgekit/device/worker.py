"""The process that runs one file; ``edgekit.device.workers`` is the other end.

``edgekit.device.processes`` says how it is spoken to. ``start`` loads the file and runs it once, ``warm`` runs it until
that makes it no faster, ``time SECONDS`` gives the latencies of a turn, ``work N`` the processor time of N runs, ``pin
CORE`` keeps the process on one core. ``memory`` stands alone: it loads the file, runs it, and gives the memory that
this took.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from edgekit.device.engines import import_runtime
from edgekit.device.engines.engine import FixedBatch
from edgekit.device.memory import PeakMemory
from edgekit.device.opening import opened
from edgekit.errors import ArtifactError, EdgekitError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from edgekit.device.engines.engine import Engine

MEMORY_RUNS = 3  # some runtimes allocate in the first run, or in the second, when they know what the first one needed

# Whatever warms up (caches, a clock that rises, weights that are packed when they are first met) makes runs faster, and
# whatever disturbs makes them slower. So a file is warm when the fastest run has stayed what it is for a while.
SETTLED_SECONDS = 0.15
SETTLED_RUNS = 5
SETTLED_SHARE = 0.01  # by which the fastest run has to become faster to count
WARMUP_SECONDS = 5.0  # at most

TURN_RUNS = 2  # of a turn at least, however long they take


def main(arguments: list[str]) -> None:
    """Answer commands about a file until stdin ends: its path, and how it is opened as JSON."""
    path, options = arguments
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what a runtime prints must not look like an answer
        serve(sys.stdin, answers, Path(path), json.loads(options))


def serve(commands: Iterable[str], answers: TextIO, path: Path, options: dict[str, Any]) -> None:
    """Answer each command with a line."""
    file = _File(path, options)
    for line in commands:
        command, *arguments = line.split()
        try:
            answer = file.answers[command](*arguments)
        except FixedBatch as refused:
            answer = {"refused": str(refused)}
        except EdgekitError as error:
            answer = {"error": type(error).__name__, "message": str(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


class _File:
    """A file and what is done with it; ``options`` are those of ``opened``, and "shape" and "dtype"."""

    def __init__(self, path: Path, options: dict[str, Any]) -> None:
        self._path, self._shape, self._dtype = path, options.pop("shape"), options.pop("dtype")
        self._options = options
        self._invoke: Callable[[], object] = _not_started
        self.answers: dict[str, Callable[..., dict[str, Any]]] = {
            "start": self.start,
            "warm": self.warm,
            "time": self.time,
            "work": self.work,
            "pin": self.pin,
            "memory": self.memory,
        }

    def start(self) -> dict[str, Any]:
        """What there is to say about its engine; times from the file to an engine that is ready, and of a first run."""
        import_runtime(self._options["engine"])
        started = time.perf_counter()
        engine = opened(self._path, **self._options)
        load_ms = (time.perf_counter() - started) * 1e3
        placement = engine.placement
        self._invoke = engine.bind(noise(*self._input(engine)))
        return {
            "runner": engine.name,
            "load_ms": load_ms,
            "first_ms": self._first_runs_ms(self._invoke, 1)[0],
            "delegate_pieces": None if placement is None else placement.pieces,
            "outside": [] if placement is None else list(placement.outside),
        }

    def warm(self) -> dict[str, Any]:
        """Run until it is warm; how many runs that took."""
        started = settled = time.perf_counter()
        fastest_ms, runs, since = float("inf"), 0, 0
        while time.perf_counter() < started + WARMUP_SECONDS:
            (run_ms,) = times_ms(self._invoke, 1)
            runs, since = runs + 1, since + 1
            if run_ms < fastest_ms * (1 - SETTLED_SHARE):
                fastest_ms, since, settled = run_ms, 0, time.perf_counter()
            elif since >= SETTLED_RUNS and time.perf_counter() > settled + SETTLED_SECONDS:
                break
        return {"runs": runs}

    def time(self, seconds: str) -> dict[str, Any]:
        """A turn: milliseconds of each run, and whether something else was given the processor meanwhile.

        The first run does not count: it finds the caches full of what ran before, which only a comparison does.
        """
        self._invoke()
        latencies_ms: list[float] = []
        interrupted: list[bool] = []
        ends = time.perf_counter() + float(seconds)
        while len(latencies_ms) < TURN_RUNS or time.perf_counter() < ends:
            before = _interruptions()
            latencies_ms += times_ms(self._invoke, 1)
            interrupted.append(_interruptions() > before)
        return {"latencies_ms": latencies_ms, "interrupted": interrupted}

    def work(self, runs: str) -> dict[str, Any]:
        """Milliseconds of processor time of each run."""
        return {"cpu_ms": times_ms(self._invoke, int(runs), time.process_time)}

    def pin(self, core: str) -> dict[str, Any]:
        """Keep this process on one core."""
        os.sched_setaffinity(0, {int(core)})
        return {}

    def memory(self) -> dict[str, Any]:
        """What there is to say about its engine, and the memory that loading and running the file takes.

        Nothing else is done in this process: what was allocated and freed before would be there for the taking.
        """
        batch = None
        if self._shape is not None and self._dtype is not None:
            batch = np.zeros((self._options["batch"], *self._shape[1:]), self._dtype)
        watch = PeakMemory()
        engine = opened(self._path, **self._options)
        if batch is None:
            batch = np.zeros(*self._input(engine))
        self._first_runs_ms(engine.bind(batch), MEMORY_RUNS)
        return {"runner": engine.name, "peak_mib": watch.risen_mib()}

    def _first_runs_ms(self, run: Callable[[], object], times: int) -> list[float]:
        """Milliseconds of the first runs, which show whether the file takes its batch after all."""
        try:
            return times_ms(run, times)
        except Exception as error:  # runtimes raise what they like
            reason = str(error).strip().partition("\n")[0]
            kind = FixedBatch if self._options["batch"] > 1 else ArtifactError
            images = f"{self._options['batch']} images at once" if self._options["batch"] > 1 else "an image"
            raise kind(f"{self._path} fails on {images}: {reason}") from error

    def _input(self, engine: Engine) -> tuple[tuple[int, ...], str]:
        """Shape and type of what it takes."""
        batch = self._options["batch"]
        shape = engine.shape if self._shape is None else (batch, *self._shape[1:])
        dtype = self._dtype or engine.dtype
        if shape is None or dtype is None:
            raise ArtifactError(f"{self._path} does not say what it takes, so it cannot be run")
        return shape, dtype


def noise(shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    """Reproducible noise. No kernel's time depends on the values, as long as they are ordinary ones."""
    random = np.random.default_rng(0)
    if np.issubdtype(np.dtype(dtype), np.integer):
        limits = np.iinfo(dtype)
        return random.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    return random.uniform(-1, 1, shape).astype(dtype)


def _interruptions() -> int:
    """How often this process lost the processor, threads of its own included, although it had work to do."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def _not_started() -> None:
    raise AssertionError("start comes first")


def times_ms(run: Callable[[], object], times: int, clock: Callable[[], float] = time.perf_counter) -> list[float]:
    """Milliseconds of each of ``times`` runs, by a clock that counts seconds."""
    measured = []
    for _ in range(times):
        started = clock()
        run()
        measured.append((clock() - started) * 1e3)
    return measured


if __name__ == "__main__":
    main(sys.argv[1:])
