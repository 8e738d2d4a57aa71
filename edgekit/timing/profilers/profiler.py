"""What a profiler is: it runs a file, and says how long each kernel of each run took."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence


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
