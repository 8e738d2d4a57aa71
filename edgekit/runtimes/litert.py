"""LiteRT (ai-edge-litert), or tflite-runtime where only that is installed."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from edgekit.device.engines import litert
from edgekit.exporters.tflite.exposing import expose
from edgekit.extras import Distribution
from edgekit.runtimes import machines, runtime
from edgekit.runtimes.machines import AARCH64, HASWELL, PI_5, WITHOUT_VNNI, Setting
from edgekit.runtimes.profilers import litert as profiler
from edgekit.runtimes.runner import in_batches
from edgekit.runtimes.runtime import Arithmetic, Profiling, Runtime

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

    from edgekit.device.engines.engine import Placement

# MultiplyByQuantizedMultiplier in tensorflow/lite/kernels/internal/common.h: SaturatingRoundingDoublingHighMul rounds
# the product to a whole number, RoundingDivideByPOT that number divided by 2^shift. So what is rounded last is off by
# up to 2^-(shift + 1) already. Tie-free ratios bear errors below 1 / (2 q), and p / q < 2^-shift makes q > 2^shift.
_ROUNDS_TWICE = "TFLite's own int8 kernels round twice"


class Kernels(StrEnum):
    """Which kernels LiteRT computes with."""

    XNNPACK = litert.XNNPACK
    BUILTIN = litert.BUILTIN


class LiteRtRunner:
    """Runs a .tflite file, with as many images at once as it says: one, where it leaves that open."""

    def __init__(self, path: Path, *, threads: int = 1, kernels: Kernels = Kernels.XNNPACK) -> None:
        """Load a file.

        Raises:
            ArtifactError: the runtime refuses it.
            MissingDependency: neither runtime is installed.
        """
        self._path, self._threads, self._kernels = path, threads, kernels
        self._engine = litert.Opened(path, threads=threads, kernels=kernels)
        self.name = self._engine.name
        self.simulated: tuple[str, ...] = ()
        self.differs_because = _ROUNDS_TWICE if self._engine.kernels == Kernels.BUILTIN else None

    @property
    def placement(self) -> Placement:
        """Where the operators went."""
        return self._engine.placement

    def run(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The outputs by name for a batch [N, C, H, W]."""
        found = in_batches(_as_stored(batch), self._engine.shape[0], self._engine.run)
        return {name: _channels_first(array) for name, array in found.items()}

    def bind(self, batch: NDArray[Any]) -> Callable[[], object]:
        """A function that invokes the interpreter on ``batch``, as large as the file's, which is set beforehand."""
        return self._engine.bind(_as_stored(batch))

    def trace(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Every activation for a batch [N, C, H, W], by its name in the file, in the same order of axes.

        Raises:
            MissingDependency: the schema of ai-edge-litert, which tflite-runtime does without, is not installed.
        """
        exposed = expose(self._path)
        engine = litert.Opened(self._path, threads=self._threads, kernels=self._kernels, content=exposed.content)

        def traced(part: NDArray[Any]) -> dict[str, NDArray[Any]]:
            engine.bind(part)()
            return {name: engine.tensor(index) for name, index in exposed.tensors.items()}

        found = in_batches(_as_stored(batch), engine.shape[0], traced)
        return {name: _channels_first(array) for name, array in found.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del self._engine


def _open(path: Path, *, kernels: str, threads: int) -> LiteRtRunner:
    return LiteRtRunner(path, threads=threads, kernels=Kernels(kernels))


def _channels_first(array: NDArray[Any]) -> NDArray[Any]:
    """[N, H, W, C] -> [N, C, H, W]; what is no feature map stays as it is."""
    return array.transpose(0, 3, 1, 2) if array.ndim == 4 else array


def _as_stored(batch: NDArray[Any]) -> NDArray[Any]:
    """[N, C, H, W] -> [N, H, W, C], which is how TFLite has it."""
    return np.ascontiguousarray(batch.transpose(0, 2, 3, 1))


DESCRIPTORS = (
    Runtime(
        "litert",
        format="tflite",
        open=_open,
        kernels=(
            runtime.Kernels(Kernels.XNNPACK),
            runtime.Kernels(Kernels.BUILTIN, Arithmetic.DOUBLE),
        ),
        distributions=(Distribution("ai-edge-litert", "ai_edge_litert", "2.3"),),
        install="edgekit[tflite]",
        engine="litert",
        profiling=Profiling(profiler.LiteRtProfiler, profiler.NAMES),
        emulated=(
            *(Setting(AARCH64, processor, machines.NEWEST_LITERT, Kernels.XNNPACK) for processor in AARCH64.processors),
            Setting(AARCH64, PI_5, machines.OLDEST_LITERT, Kernels.XNNPACK),
            Setting(AARCH64, PI_5, machines.NEWEST_LITERT, Kernels.BUILTIN),
            Setting(AARCH64, PI_5, machines.TFLITE_RUNTIME, Kernels.XNNPACK),
            Setting(WITHOUT_VNNI, HASWELL, kernels=Kernels.XNNPACK),
        ),
    ),
)
