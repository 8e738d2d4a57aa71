"""ONNX Runtime on the CPU."""

from __future__ import annotations

import importlib
from functools import partial
from typing import TYPE_CHECKING, Any

from edgekit.device.engines.engine import FixedBatch, Kind, Wheels
from edgekit.errors import ArtifactError, MissingDependency

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

ALL = "ENABLE_ALL"  # of GraphOptimizationLevel, what applications get by default

# What ONNX Runtime calls the types of inputs -> numpy.
_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
}


class Opened:
    """An .onnx file with one execution provider."""

    placement = None

    def __init__(  # noqa: PLR0913 - what is opened, and how
        self,
        path: Path,
        *,
        kernels: str = ALL,
        threads: int = 1,
        batch: int | None = None,
        content: bytes | None = None,
        provider: str = "CPUExecutionProvider",
    ) -> None:
        """Load a file.

        Args:
            path: of the file.
            kernels: a GraphOptimizationLevel: "DISABLE_ALL", "ENABLE_BASIC", "ENABLE_EXTENDED" or "ENABLE_ALL".
            threads: that one run may use.
            batch: images at once; None for as many as come.
            content: in place of what lies at ``path``.
            provider: as ONNX Runtime names it.

        Raises:
            ArtifactError: ONNX Runtime refuses it, or it does not take such a batch.
            MissingDependency: onnxruntime is not installed.
        """
        ort = runtime()
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, f"ORT_{kernels}")
        options.log_severity_level = 3  # errors only: a warning about the machine is no result
        try:
            model = str(path) if content is None else content
            self.session = ort.InferenceSession(model, options, providers=[provider])
        except Exception as error:  # its exception classes share no base but Exception
            reason = str(error).strip().partition("\n")[0]
            raise ArtifactError(f"ONNX Runtime {ort.__version__} refuses {path}: {reason}") from error
        self._batch = batch
        self._input = self.session.get_inputs()[0]
        self.name = f"ONNX Runtime {ort.__version__}, {kernels.replace('ENABLE_', '')}"
        if batch is not None and isinstance(self.batch, int) and self.batch != batch:
            raise FixedBatch.of(path, self.batch, batch)

    @property
    def batch(self) -> int | None:
        """Images at once that the file insists on; None where it leaves that open."""
        size = self._input.shape[0]
        return size if isinstance(size, int) else None

    @property
    def shape(self) -> tuple[int, ...] | None:
        """[N, C, H, W]; None where height or width is left open."""
        first, *others = self._input.shape
        if not all(isinstance(size, int) for size in others):
            return None
        return (first if isinstance(first, int) else self._batch or 1, *others)

    @property
    def dtype(self) -> str | None:
        """As numpy names it."""
        return _DTYPES.get(self._input.type)

    def run(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The outputs by name for a batch, both as the file has them."""
        names = [output.name for output in self.session.get_outputs()]
        return dict(zip(names, self.session.run(None, {self._input.name: batch})))

    def bind(self, batch: NDArray[Any]) -> Callable[[], object]:
        """A function that runs the session on ``batch``."""
        return partial(self.session.run, None, {self._input.name: batch})


def runtime() -> Any:  # noqa: ANN401 - an untyped package
    """The package.

    Raises:
        MissingDependency: it is not installed.
    """
    try:
        return importlib.import_module("onnxruntime")
    except ModuleNotFoundError as error:
        if error.name != "onnxruntime":
            raise
        raise MissingDependency("onnxruntime is not installed: pip install 'edgekit[onnx]'") from error


_BOTH = ("aarch64", "x86_64")
KIND = Kind(
    "onnxruntime",
    packages=("onnxruntime",),
    wheels=(
        Wheels("onnxruntime", _BOTH, (3, 11), (3, 14), (2, 28)),
        Wheels("onnxruntime", _BOTH, (3, 9), (3, 10), (2, 27)),
    ),
    clamps_without_vnni=True,
)
