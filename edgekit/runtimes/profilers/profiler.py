"""What a profiler is: it runs a file, and says how long each kernel of each run took."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    import re
    from collections.abc import Collection, Mapping, Sequence


Kernel: TypeAlias = tuple[str, float]  # one at work in one run: as the runtime calls it, and its microseconds


class Profiler(Protocol):
    """A file in a runtime that says what its time goes to.

    Attributes:
        source: whose figures these are ("XNNPACK's own, by LiteRT's profiler").
        resolution_us: microseconds that it counts in.
    """

    source: str
    resolution_us: float

    def run(self, times: int) -> Sequence[Sequence[Kernel]]:
        """Run the file on its batch, and give the kernels of each run in the order of execution."""
        ...


@dataclass(frozen=True, slots=True)
class KernelNames:
    """How a runtime calls its kernels, as far as that tells which operators of a file they compute.

    Attributes:
        around: kernels are named after operators, with this around the name of one that was rewritten; None where they
            are named after what they do.
        called: what kernels are called, or begin with, that compute an operator of some kind, besides the kind itself.
        go_on: a kernel that fits no operator belongs to the one before; else the runtime has added it by itself.
        behind: kinds of operators that are fused into the last one that they read; others into the first that reads
            them.
    """

    around: re.Pattern[str] | None = None
    called: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    go_on: bool = False
    behind: Collection[str] = ()
