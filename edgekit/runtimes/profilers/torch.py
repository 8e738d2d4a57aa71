"""torch's profiler: the operators that the interpreter of TorchScript calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edgekit import extras
from edgekit.runtimes.profilers.profiler import KernelNames

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.runtimes.profilers.profiler import Kernel

# What the methods of an int8 TorchScript file call first (edgekit/exporters/torch/integer.py); then they go on.
NAMES: Final = KernelNames(
    called={
        "crop": ("aten::slice",),
        "mean": ("aten::int_repr",),
        "pad": ("aten::empty",),
        "resize": ("aten::int_repr",),
    },
    go_on=True,
)


class TorchProfiler:
    """A TorchScript file. What torch notes down of every operator makes it slower, more so than other profilers do."""

    source = "torch.profiler"
    resolution_us = 0.001

    def __init__(self, run: Callable[[], object]) -> None:
        """Profile what ``run`` runs."""
        self._run = run

    def run(self, times: int) -> list[list[Kernel]]:
        """The operators of each run, without those that they call in turn."""
        profiler = extras.load("torch.profiler", "torch")
        with profiler.profile(activities=[profiler.ProfilerActivity.CPU]) as profiled:
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
