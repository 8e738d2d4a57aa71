"""Run TorchScript files in torch."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch

from edgekit.exporters.metadata import Precision
from edgekit.exporters.torch import script
from edgekit.exporters.torch.codec import load
from edgekit.exporters.torch.exposing import expose
from edgekit.runtimes import processor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType

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
            MissingDependency: this build of torch does not have the engine.
        """
        loaded = load(path, engine=engine)
        self._module, self._engine, self._threads = loaded.module, loaded.engine, threads
        self.metadata = loaded.texts.metadata
        integers = self.metadata.precision is Precision.INT8
        self.name = f"torch {torch.__version__.partition('+')[0]}" + (f", {self._engine}" if integers else "")
        # qnnpack widens both factors to 16 bits before it multiplies.
        clamps = integers and self._engine != "qnnpack"
        self.differs_because = processor.saturation(self.metadata.lowering) if clamps else None

    def run(self, batch: NDArray[Any]) -> NDArray[Any]:
        """The output [N, classes] for a batch [N, C, H, W], both in the types of the file's boundary."""
        with self._settings():
            output: NDArray[Any] = self._module(_tensor(batch)).numpy()
        return output

    def bind(self, batch: NDArray[Any]) -> Callable[[], object]:
        """A function that runs the module on ``batch``; what it sets and restores takes 5 microseconds."""
        tensor = _tensor(batch)

        def run_module() -> object:
            with self._settings():
                return self._module(tensor)

        return run_module

    def trace(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Every variable of the program for a batch [N, C, H, W], by its name; of quantized tensors the integers."""
        exposed = expose(self._module)
        with self._settings():
            values = exposed.run(_tensor(batch))
        found = {name: _shown(value) for name, value in zip(exposed.names, values, strict=True)}
        return {exposed.argument: batch, **found}

    @contextlib.contextmanager
    def _settings(self) -> Iterator[None]:
        """Engine and threads belong to the process, so they are set for a run and then restored."""
        threads = torch.get_num_threads()
        torch.set_num_threads(self._threads)
        try:
            with script.pinned(self._engine), torch.inference_mode():
                yield
        finally:
            torch.set_num_threads(threads)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close: ``run`` leaves the process as it found it."""


def _tensor(batch: NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(batch))


def _shown(value: torch.Tensor) -> NDArray[Any]:
    shown: NDArray[Any] = (value.int_repr() if value.is_quantized else value).numpy()
    return shown
