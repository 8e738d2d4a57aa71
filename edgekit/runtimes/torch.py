"""Run TorchScript files in torch."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from edgekit import extras
from edgekit.device.engines.torch import deprecations_silenced
from edgekit.exporters.metadata import Precision
from edgekit.extras import Distribution
from edgekit.runtimes import processor
from edgekit.runtimes.machines import HASWELL, WITHOUT_VNNI, Setting
from edgekit.runtimes.profilers import torch as profiler
from edgekit.runtimes.runtime import Kernels, Profiling, Runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType

    import torch
    from numpy.typing import NDArray


class TorchRunner:
    """A TorchScript file on the CPU, with one quantized engine."""

    def __init__(self, path: Path, *, threads: int = 1, engine: str | None = None) -> None:
        """Load ``path``.

        Args:
            path: a file that ``edgekit.exporters.torch`` wrote.
            threads: of one run.
            engine: packs the weights and runs the quantized operators: "fbgemm", "qnnpack", "onednn" or "x86", which is
                torch's default. None takes the one that the file was laid out for; ``edgekit.exporters.torch.integer``
                says which are exact. A float file does not care.

        Raises:
            ArtifactError: the file is missing, damaged, or not what edgekit writes.
            MissingDependency: torch is not installed, or this build does not have the engine.
        """
        self._torch = extras.load("torch", "torch")
        from edgekit.exporters.torch.codec import load  # noqa: PLC0415 - needs torch

        loaded = load(path, engine=engine)
        self._module, self._engine, self._threads = loaded.module, loaded.engine, threads
        self.metadata, self._outputs = loaded.texts.metadata, [output.name for output in loaded.texts.outputs]
        integers = self.metadata.precision is Precision.INT8
        quantized = integers or self.metadata.precision is Precision.DYNAMIC
        self.name = f"torch {self._torch.__version__.partition('+')[0]}" + (f", {self._engine}" if quantized else "")
        self.simulated: tuple[str, ...] = ()
        # qnnpack widens both factors to 16 bits before it multiplies.
        clamps = integers and self._engine != "qnnpack"
        self.differs_because = processor.saturation(self.metadata.lowering) if clamps else None

    def run(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The outputs by name for a batch [N, C, H, W], both in the types of the file's boundary."""
        with self._settings(), deprecations_silenced():
            given = self._module(self._tensor(batch))
        tensors = given if isinstance(given, tuple) else (given,)
        return {name: tensor.numpy() for name, tensor in zip(self._outputs, tensors, strict=True)}

    def bind(self, batch: NDArray[Any]) -> Callable[[], object]:
        """A function that runs the module on ``batch``; what it sets and restores takes 5 microseconds."""
        tensor = self._tensor(batch)

        def run_module() -> object:
            with self._settings():
                return self._module(tensor)

        return run_module

    def trace(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Every variable of the program for a batch [N, C, H, W], by its name; of quantized tensors the integers."""
        from edgekit.exporters.torch.exposing import expose  # noqa: PLC0415 - needs torch

        exposed = expose(self._module)
        with self._settings():
            values = exposed.run(self._tensor(batch))
        found = {name: _shown(value) for name, value in zip(exposed.names, values, strict=True)}
        return {exposed.argument: batch, **found}

    @contextlib.contextmanager
    def _settings(self) -> Iterator[None]:
        """Engine and threads belong to the process, so they are set for a run and then restored."""
        from edgekit.exporters.torch import script  # noqa: PLC0415 - needs torch

        threads = self._torch.get_num_threads()
        self._torch.set_num_threads(self._threads)
        try:
            with script.pinned(self._engine), self._torch.inference_mode():
                yield
        finally:
            self._torch.set_num_threads(threads)

    def _tensor(self, batch: NDArray[Any]) -> torch.Tensor:
        tensor: torch.Tensor = self._torch.from_numpy(np.ascontiguousarray(batch))
        return tensor

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close: ``run`` leaves the process as it found it."""


def _shown(value: torch.Tensor) -> NDArray[Any]:
    shown: NDArray[Any] = (value.int_repr() if value.is_quantized else value).numpy()
    return shown


def _open(path: Path, *, kernels: str, threads: int) -> TorchRunner:
    return TorchRunner(path, threads=threads, engine=kernels or None)


def _profiler(path: Path, batch: NDArray[Any], *, threads: int) -> profiler.TorchProfiler:
    return profiler.TorchProfiler(TorchRunner(path, threads=threads).bind(batch))


DESCRIPTORS = (
    Runtime(
        "torch",
        format="torch",
        open=_open,
        # qnnpack widens before it multiplies, so it shows a file's integers where fbgemm's kernels clamp sums.
        kernels=(Kernels(), Kernels("qnnpack", only_without_vnni=True)),
        distributions=(Distribution("torch", "torch", "2.13"),),
        install="edgekit[torch]",
        engine="torch",
        profiling=Profiling(_profiler, profiler.NAMES),
        emulated=(Setting(WITHOUT_VNNI, HASWELL),),
    ),
)
