"""ONNX Runtime on the CPU, at a chosen optimization level."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Self

from edgekit.device.engines import onnx_runtime
from edgekit.exporters.contents import metadata_facts
from edgekit.exporters.metadata import KEY
from edgekit.extras import Distribution, load
from edgekit.runtimes import machines, processor
from edgekit.runtimes.machines import AARCH64, HASWELL, PI_5, WITHOUT_VNNI, Setting
from edgekit.runtimes.profilers import onnx_runtime as profiler
from edgekit.runtimes.runner import in_batches
from edgekit.runtimes.runtime import Kernels, Profiling, Runtime

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray


_FLOAT: Final = ("Conv2d", "Linear", "Mean")


class OptimizationLevel(StrEnum):
    """GraphOptimizationLevel of ONNX Runtime."""

    DISABLE_ALL = "DISABLE_ALL"
    EXTENDED = "ENABLE_EXTENDED"
    ALL = "ENABLE_ALL"


class OnnxRuntimeRunner:
    """Runs an .onnx file with the CPU execution provider."""

    def __init__(self, path: Path, *, threads: int = 1, level: OptimizationLevel = OptimizationLevel.ALL) -> None:
        """Load a file.

        Raises:
            ArtifactError: ONNX Runtime refuses it.
            MissingDependency: onnxruntime is not installed.
        """
        self._path, self._threads, self._level = path, threads, level
        self._engine = onnx_runtime.Opened(path, threads=threads, kernels=level)
        self.name = self._engine.name
        # Without optimization nothing is fused: what lies between DequantizeLinear and QuantizeLinear is float.
        fused = level is not OptimizationLevel.DISABLE_ALL
        self.simulated = () if fused else _FLOAT
        said = metadata_facts(self._engine.session.get_modelmeta().custom_metadata_map.get(KEY))
        self.differs_because = processor.saturation(str(said.get(f"{KEY}.profile"))) if fused else None

    def run(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The outputs by name for a batch [N, C, H, W]."""
        return in_batches(batch, self._engine.batch or len(batch), self._engine.run)

    def bind(self, batch: NDArray[Any]) -> Callable[[], object]:
        """A function that runs the session on ``batch``."""
        return self._engine.bind(batch)

    def trace(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Every activation for a batch [N, C, H, W], by its name in the file, at the same level of optimization.

        Raises:
            MissingDependency: onnx is not installed.
        """
        load("onnx", "onnx")  # where it is missing, that is said with a remedy
        from edgekit.exporters.onnx.exposing import expose  # noqa: PLC0415 - running files needs no onnx

        content = expose(self._path).SerializeToString()
        session = onnx_runtime.Opened(self._path, threads=self._threads, kernels=self._level, content=content).session
        given = session.get_inputs()[0].name
        names = [output.name for output in session.get_outputs()]

        def traced(part: NDArray[Any]) -> dict[str, NDArray[Any]]:
            return dict(zip(names, session.run(None, {given: part}), strict=True))

        return {given: batch, **in_batches(batch, self._engine.batch or len(batch), traced)}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del self._engine


def _open(path: Path, *, kernels: str, threads: int) -> OnnxRuntimeRunner:
    return OnnxRuntimeRunner(path, threads=threads, level=OptimizationLevel(kernels))


DESCRIPTORS = (
    Runtime(
        "onnxruntime",
        format="onnx",
        open=_open,
        kernels=tuple(map(Kernels, (OptimizationLevel.ALL, OptimizationLevel.EXTENDED, OptimizationLevel.DISABLE_ALL))),
        distributions=(Distribution("onnxruntime", "onnxruntime", "1.31"),),
        install="edgekit[onnx]",
        engine="onnxruntime",
        profiling=Profiling(profiler.OnnxRuntimeProfiler, profiler.NAMES),
        emulated=(
            *(Setting(AARCH64, cpu, machines.NEWEST_ONNX, OptimizationLevel.ALL) for cpu in AARCH64.processors),
            Setting(AARCH64, PI_5, machines.OLDEST_ONNX, OptimizationLevel.ALL),
            *(Setting(WITHOUT_VNNI, HASWELL, kernels=level) for level in OptimizationLevel),
        ),
    ),
)
