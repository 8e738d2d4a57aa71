"""Which profiler belongs to a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.errors import ArtifactError
from edgekit.exporters.formats import format_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.timing.profilers.profiler import Profiler


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
            from edgekit.timing.profilers.litert import LiteRtProfiler  # noqa: PLC0415 - each is optional

            return LiteRtProfiler(path, batch, threads=threads)
        case "onnx":
            from edgekit.timing.profilers.onnx_runtime import OnnxRuntimeProfiler  # noqa: PLC0415 - likewise

            return OnnxRuntimeProfiler(path, batch, threads=threads)
        case "torch":
            from edgekit.timing.profilers.torch import TorchProfiler  # noqa: PLC0415 - likewise

            return TorchProfiler(path, batch, threads=threads)
        case _:
            raise ArtifactError(f"{path} needs an Apple system to run: profile it with Xcode's Instruments, on a Mac")
