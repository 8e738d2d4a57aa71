"""torch's profiler: the operators that the interpreter of TorchScript calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch.profiler import ProfilerActivity, profile

from edgekit.runtimes.torch import TorchRunner

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.timing.profilers.profiler import Kernel


class TorchProfiler:
    """A TorchScript file. What torch notes down of every operator makes it slower, more so than other profilers do."""

    source = "torch.profiler"
    resolution_us = 0.001

    def __init__(self, path: Path, batch: NDArray[Any], *, threads: int) -> None:
        """Load ``path``; see ``open_profiler``."""
        self._run = TorchRunner(path, threads=threads).bind(batch)

    def run(self, times: int) -> list[list[Kernel]]:
        """The operators of each run, without those that they call in turn."""
        with profile(activities=[ProfilerActivity.CPU]) as profiled:
            for _ in range(times):
                self._run()
        wholes = [event for event in profiled.events() or () if event.cpu_parent is None and event.name == "forward"]
        return [
            [
                (str(event.name), float(event.time_range.elapsed_us()))
                for event in sorted(whole.cpu_children, key=lambda event: float(event.time_range.start))
            ]
            for whole in wholes
        ]
