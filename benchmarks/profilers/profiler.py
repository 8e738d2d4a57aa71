"""What a profiler is: it runs a file, and says how long each kernel of each run took."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from edgekit.errors import ArtifactError
from edgekit.exporters.formats import format_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


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


def open_profiler(path: Path, batch: NDArray[Any], *, threads: int) -> Profiler:
    """The profiler of a file's runtime.

    Args:
        path: of the file.
        batch: one image [1, C, H, W] of the type at the file's boundary.
        threads: of one run.

    Raises:
        ArtifactError: the runtime refuses the file, or has no profiler on this machine.
        MissingDependency: it is not installed, or too old to have one.
    """
    match format_of(path).name:
        case "tflite":
            from edgekit.benchmarks.profilers.litert import LiteRtProfiler  # noqa: PLC0415 - each is optional

            return LiteRtProfiler(path, batch, threads=threads)
        case "onnx":
            from edgekit.benchmarks.profilers.onnx_runtime import OnnxRuntimeProfiler  # noqa: PLC0415 - likewise

            return OnnxRuntimeProfiler(path, batch, threads=threads)
        case "torch":
            from edgekit.benchmarks.profilers.torch import TorchProfiler  # noqa: PLC0415 - likewise

            return TorchProfiler(path, batch, threads=threads)
        case _:
            raise ArtifactError(f"{path} needs an Apple system to run: profile it with Xcode's Instruments, on a Mac")
