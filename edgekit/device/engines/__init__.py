"""Files in their runtimes, as an application has them: one module an engine, whose ``KIND`` says what there is to know.

The lowest level: arrays are in the file's own layout and type, and as many images at once as it was opened for.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

from edgekit.errors import ArtifactError

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.device.engines.engine import Engine, Kind


def _found() -> dict[str, Any]:
    """The modules of engines, by the names of these."""
    beside = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    return {module.KIND.name: module for module in beside if hasattr(module, "KIND")}


_MODULES = _found()
KINDS: dict[str, Kind] = {name: module.KIND for name, module in _MODULES.items()}
ENGINES = tuple(KINDS)
GPU_ENGINES = frozenset(name for name, kind in KINDS.items() if kind.on_gpu_for)
# For each engine of the processor, what runs the same files on a GPU: engines and their kernels.
ON_GPU = {
    name: tuple((gpu.name, kernels) for gpu in KINDS.values() if gpu.on_gpu_for == name for kernels in gpu.kernels)
    for name in KINDS
    if name not in GPU_ENGINES
}
PACKAGES = tuple(package for kind in KINDS.values() for package in kind.packages)  # distributions that run files


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
    opened: Engine = _MODULES[engine].Opened(path, threads=threads, batch=batch, **chosen)
    return opened


def import_runtime(engine: str) -> None:
    """Import what ``open_file`` will need, which takes longer than a file does.

    Raises:
        MissingDependency: the runtime is not installed.
    """
    _MODULES[engine].runtime()
