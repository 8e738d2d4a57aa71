"""ONNX Runtime on the CPU, at a chosen optimization level."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from edgekit import extras
from edgekit.errors import ArtifactError
from edgekit.exporters.contents import metadata_facts
from edgekit.exporters.metadata import KEY
from edgekit.runtimes import processor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray


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
        runtime = extras.load("onnxruntime", "onnx")
        self._path, self._threads, self._level = path, threads, level
        self._session = self._load(str(path))
        self._input = self._session.get_inputs()[0].name
        self.name = f"ONNX Runtime {runtime.__version__}, {level.removeprefix('ENABLE_')}"
        # Without optimization nothing is fused: what lies between DequantizeLinear and QuantizeLinear is float.
        fused = level is not OptimizationLevel.DISABLE_ALL
        said = metadata_facts(self._session.get_modelmeta().custom_metadata_map.get(KEY))
        self.differs_because = processor.saturation(str(said.get(f"{KEY}.profile"))) if fused else None

    def run(self, batch: NDArray[Any]) -> NDArray[Any]:
        """[N, C, H, W] -> [N, classes]."""
        return np.concatenate([self._session.run(None, {self._input: part})[0] for part in self._parts(batch)])

    def bind(self, batch: NDArray[Any]) -> Callable[[], object]:
        """A function that runs the session on ``batch``."""
        return partial(self._session.run, None, {self._input: batch})

    def trace(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Every activation for a batch [N, C, H, W], by its name in the file, at the same level of optimization.

        Raises:
            MissingDependency: onnx is not installed.
        """
        from edgekit.exporters.onnx.exposing import expose  # noqa: PLC0415 - running files needs no onnx

        session = self._load(expose(self._path).SerializeToString())
        results = [session.run(None, {self._input: part}) for part in self._parts(batch)]
        names = (output.name for output in session.get_outputs())
        columns = zip(*results, strict=True)
        return {self._input: batch, **{n: np.concatenate(v) for n, v in zip(names, columns, strict=True)}}

    def _parts(self, batch: NDArray[Any]) -> list[NDArray[Any]]:
        """``batch`` as the file takes it: as a whole, or image by image."""
        return [batch] if self._session.get_inputs()[0].shape[0] != 1 else [image[None] for image in batch]

    def _load(self, model: str | bytes) -> Any:  # noqa: ANN401 - a session of an untyped package
        """A session for a file, by its path or content."""
        runtime = extras.load("onnxruntime", "onnx")
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self._threads, 1
        options.graph_optimization_level = getattr(runtime.GraphOptimizationLevel, f"ORT_{self._level}")
        options.log_severity_level = 3  # errors only: a warning about the machine is no result
        try:
            return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exception classes share no base but Exception
            reason = f"ONNX Runtime {runtime.__version__} refuses {self._path}: {_first_line(error)}"
            raise ArtifactError(reason) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del self._session


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
