"""Where the time of a file goes: the kernels of its runtime, in a fresh process, by the runtime's own profiler."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from edgekit.device.processes import Process, our_environment
from edgekit.progress import Progress, silent
from edgekit.timing.profilers.costs import Activation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

    from edgekit.runtimes.profilers.profiler import Kernel

ANSWER_SECONDS: Final = 300.0  # what takes longer hangs
_ROUND: Final = 20  # runs between two signs of life


@dataclass(frozen=True, slots=True)
class KernelTimes:
    """What the kernels of a file take.

    Attributes:
        runner: runtime, version and kernels.
        source: whose figures these are.
        resolution_us: microseconds that the profiler counts in.
        runs: how many were profiled; as many without the profiler took turns with them.
        whole_us: a run without the profiler; of one thread, the processor time of it.
        spread: of these, the third quartile over the first, less 1; what it is on a machine with nothing else to do
            depends on the machine, but is a few hundredths.
        kernels: name and microseconds of each kernel, in the order of execution.
    """

    runner: str
    source: str
    resolution_us: float
    runs: int
    whole_us: float
    spread: float
    kernels: tuple[Kernel, ...]


class ProfileWorker:
    """A process that profiles one file: see ``edgekit.timing.profilers.worker``.

    What it is asked raises ArtifactError where the file cannot be run or its runtime crashes or hangs, and
    MissingDependency where that is not installed.
    """

    def __init__(self, path: Path, *, threads: int) -> None:
        """It starts with the ``with`` block."""
        self._path, self._threads = path, threads

    def __enter__(self) -> Self:
        command = [sys.executable, "-P", "-m", "edgekit.timing.profilers.worker", str(self._path)]
        with ExitStack() as stack:
            messages = stack.enter_context(tempfile.TemporaryFile())  # runtimes tell of accelerators that they look for
            folder = stack.enter_context(tempfile.TemporaryDirectory())  # for traces: the process is killed in the end
            environment = {**our_environment(), "TMPDIR": folder}
            process = Process([*command, str(self._threads)], str(self._path), environment, stderr=messages)
            self._process = stack.enter_context(process)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def kernels(self, runs: int, progress: Progress = silent) -> KernelTimes:
        """Profile the file."""
        runner = self._ask("start")["runner"]
        whole_us: list[float] = []
        profiled: list[list[Kernel]] = []
        about: dict[str, Any] = {}
        stage = f"profiling, {self._path.name}"
        for done in range(0, runs, _ROUND):
            progress(stage, done, runs)
            about = self._ask(f"profile {min(_ROUND, runs - done)}")
            whole_us += [milliseconds * 1e3 for milliseconds in about["whole_ms"]]
            profiled += about["profiled"]
        progress(stage, runs, runs)
        kernels = middle_kernels(profiled)
        whole = float(middle_mean(np.array(whole_us)[:, None])[0])
        low, high = np.percentile(whole_us, (25, 75))
        spread = float(high / low - 1)
        return KernelTimes(runner, about["source"], about["resolution_us"], runs, whole, spread, kernels)

    def activations(self) -> Mapping[str, Activation]:
        """Every tensor of the file, by its name there."""
        tensors = self._ask("shapes")["tensors"]
        return {name: Activation(tuple(shape), dtype) for name, (shape, dtype) in tensors.items()}

    def fastest_ms(self, runs: int) -> float:
        """The shortest run: one that nobody disturbed."""
        measured: list[float] = self._ask(f"time {runs}")["ms"]
        return min(measured)

    def _ask(self, command: str) -> dict[str, Any]:
        values, _ = self._process.ask(command, seconds=ANSWER_SECONDS)
        return values


def middle_kernels(runs: Sequence[Sequence[Kernel]]) -> tuple[Kernel, ...]:
    """The kernels that most runs have, each with the middle of its times in these runs."""
    names = Counter(tuple(name for name, _ in run) for run in runs).most_common(1)[0][0]
    times = np.array([[us for _, us in run] for run in runs if tuple(name for name, _ in run) == names])
    return tuple(zip(names, map(float, middle_mean(times)), strict=True))


def middle_mean(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """The interquartile mean: that of what lies between the first and the third quartile.

    What disturbs a run counts as little as for a median: it hits another kernel each time. But a mean of many runs is
    finer than the whole microseconds that some profilers count in.

    Args:
        times: [runs, parts].

    Returns:
        [parts], each on its own.

    >>> middle_mean(np.array([[1.0], [2.0], [3.0], [100.0]]))
    array([2.5])
    """
    quarter = len(times) // 4
    middle: NDArray[np.float64] = np.sort(times, axis=0)[quarter : len(times) - quarter].mean(0)
    return middle
