"""Files in their runtimes, as an application has them: one module a runtime, each imported where it is used.

The lowest level: arrays are in the file's own layout and type, and as many images at once as it was opened for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from edgekit.errors import ArtifactError

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.device.engines.engine import Engine

_MODULES = {
    "litert": "litert",
    "litert-gpu": "litert_gpu",
    "onnxruntime": "onnx_runtime",
    "onnxruntime-gpu": "onnx_runtime_gpu",
    "torch": "torch",
    "torch-cuda": "torch_cuda",
}
ENGINES = tuple(_MODULES)
# For each engine of the processor, what runs the same files on a GPU: engines and their kernels.
ON_GPU = {
    "litert": (("litert-gpu", "float32"), ("litert-gpu", "fastest")),
    "onnxruntime": (("onnxruntime-gpu", "CUDA"), ("onnxruntime-gpu", "TensorRT")),
    "torch": (("torch-cuda", "plain"), ("torch-cuda", "graph")),
}
GPU_ENGINES = frozenset(engine for ways in ON_GPU.values() for engine, _ in ways)
CHANNELS_LAST = frozenset({"litert", "litert-gpu"})  # engines whose files have NHWC inputs


def open_file(path: Path, engine: str, *, kernels: str = "", threads: int = 1, batch: int = 1) -> Engine:
    """A file in a runtime.

    Args:
        path: of the file.
        engine: one of ``ENGINES``.
        kernels: of that engine, as its module names them; "" for those that applications get.
        threads: that one run may use.
        batch: images at once.

    Raises:
        ArtifactError: the runtime refuses the file.
        FixedBatch: the file takes other batches only.
        MissingDependency: the runtime is not installed.
    """
    if engine not in ENGINES:
        raise ArtifactError(f"{path} is to be run by {engine!r}: choose from {', '.join(ENGINES)}")
    chosen: dict[str, Any] = {"kernels": kernels} if kernels else {}
    opened: Engine = _module(engine).Opened(path, threads=threads, batch=batch, **chosen)
    return opened


def import_runtime(engine: str) -> None:
    """Import what ``open_file`` will need, which takes longer than a file does.

    Raises:
        MissingDependency: the runtime is not installed.
    """
    _module(engine).runtime()


def _module(engine: str) -> Any:  # noqa: ANN401 - a module of this package
    return importlib.import_module(f"edgekit.device.engines.{_MODULES[engine]}")
