"""ONNX Runtime on the CPU, at a chosen optimization level."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from edgekit import extras
from edgekit.errors import ArtifactError

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
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.graph_optimization_level = getattr(runtime.GraphOptimizationLevel, f"ORT_{level}")
        options.log_severity_level = 3  # errors only: a warning about the machine is no result
        try:
            self._session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exception classes share no base but Exception
            raise ArtifactError(f"ONNX Runtime {runtime.__version__} refuses {path}: {_first_line(error)}") from error
        self._input = self._session.get_inputs()[0].name
        self.name = f"ONNX Runtime {runtime.__version__}, {level.removeprefix('ENABLE_')}"

    def run(self, batch: NDArray[Any]) -> NDArray[Any]:
        """[N, C, H, W] -> [N, classes]."""
        return np.asarray(self._session.run(None, {self._input: batch})[0])

    def bind(self, batch: NDArray[Any]) -> Callable[[], object]:
        """A function that runs the session on ``batch``."""
        return partial(self._session.run, None, {self._input: batch})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del self._session


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
