"""ONNX Runtime on an NVIDIA GPU, with its CUDA or its TensorRT execution provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.device.engines import onnx_runtime
from edgekit.device.engines.engine import Kind
from edgekit.errors import MissingDependency

if TYPE_CHECKING:
    from pathlib import Path

CUDA, TENSORRT = "CUDA", "TensorRT"
_PROVIDERS = {CUDA: "CUDAExecutionProvider", TENSORRT: "TensorrtExecutionProvider"}


class Opened(onnx_runtime.Opened):
    """An .onnx file on the GPU; operators that the provider does not have are left to the processor."""

    def __init__(self, path: Path, *, kernels: str = CUDA, threads: int = 1, batch: int = 1) -> None:
        """Load a file.

        Args:
            path: of the file.
            kernels: ``CUDA`` or ``TENSORRT``.
            threads: that the processor may use for what it is left.
            batch: images at once.

        Raises:
            ArtifactError: ONNX Runtime refuses the file, or it does not take such a batch.
            MissingDependency: onnxruntime is not installed, or has no such provider, or the provider finds no GPU.
        """
        ort, provider = runtime(), _PROVIDERS[kernels]
        if provider not in ort.get_available_providers():
            raise MissingDependency(
                f"this ONNX Runtime {ort.__version__} has no {provider}: pip install onnxruntime-gpu in its place"
            )
        super().__init__(path, threads=threads, batch=batch, provider=provider)
        if self.session.get_providers()[0] != provider:  # it falls back to the processor without an error
            raise MissingDependency(f"{provider} finds no GPU here, or not its libraries")
        self.name = f"ONNX Runtime {ort.__version__}, {kernels}"


def runtime() -> Any:  # noqa: ANN401 - an untyped package
    """The package.

    Raises:
        MissingDependency: it is not installed.
    """
    return onnx_runtime.runtime()


KIND = Kind("onnxruntime-gpu", on_gpu_for="onnxruntime", kernels=(CUDA, TENSORRT))
