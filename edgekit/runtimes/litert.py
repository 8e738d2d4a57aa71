"""LiteRT (ai-edge-litert), or tflite-runtime where only that is installed."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from edgekit.errors import ArtifactError, MissingDependency
from edgekit.exporters.tflite.exposing import expose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import ModuleType, TracebackType

    from numpy.typing import NDArray

# Module -> (its package, what people call it), the first that is installed.
_MODULES = {
    "ai_edge_litert.interpreter": ("ai-edge-litert", "LiteRT"),
    "tflite_runtime.interpreter": ("tflite-runtime", "tflite-runtime"),
}
_DELEGATE = "DELEGATE"
# MultiplyByQuantizedMultiplier in tensorflow/lite/kernels/internal/common.h: SaturatingRoundingDoublingHighMul rounds
# the product to a whole number, RoundingDivideByPOT that number divided by 2^shift. So what is rounded last is off by
# up to 2^-(shift + 1) already. Tie-free ratios bear errors below 1 / (2 q), and p / q < 2^-shift makes q > 2^shift.
_ROUNDS_TWICE = "TFLite's own int8 kernels round twice"


class Kernels(StrEnum):
    """Which kernels LiteRT computes with."""

    XNNPACK = "XNNPACK"  # what applications get by default
    BUILTIN = "builtin"  # TFLite's own, without a delegate


@dataclass(frozen=True, slots=True)
class Placement:
    """What the XNNPACK delegate makes of a file.

    Attributes:
        pieces: partitions that it runs.
        outside: names of the operators that are left to TFLite's own kernels.
    """

    pieces: int
    outside: tuple[str, ...]


class LiteRtRunner:
    """Runs a .tflite file, image by image: the files have a batch of one."""

    def __init__(self, path: Path, *, threads: int = 1, kernels: Kernels = Kernels.XNNPACK) -> None:
        """Load a file.

        Raises:
            ArtifactError: the runtime refuses it.
            MissingDependency: neither runtime is installed.
        """
        self._path, self._threads, self._kernels = path, threads, kernels
        self._interpreter = self._load(model_path=str(path))
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]
        # Not what was asked for, but what runs: tflite-runtime, for one, leaves int8 to its own kernels.
        kernels = Kernels.XNNPACK if self.placement.pieces else Kernels.BUILTIN
        self.name = f"{_runtime()[1]}, {kernels}"
        self.differs_because = _ROUNDS_TWICE if kernels is Kernels.BUILTIN else None

    @property
    def placement(self) -> Placement:
        """Where the operators went.

        A delegate is appended to the list of operators and takes over the tensors that its part of the graph makes, but
        what it replaced stays in the list. So the list is walked from the output back to the input, from a tensor to
        the last operator that makes it: what is never reached is never run. The list comes from an interface that the
        runtime marks as private; there is no public one.
        """
        operators = self._interpreter._get_ops_details()  # noqa: SLF001 - see above
        makers = {int(tensor): op for op in operators for tensor in op["outputs"]}
        run: dict[int, str] = {}  # operators by index
        wanted = [self._output]
        while wanted:
            maker = makers.get(wanted.pop())
            if maker is not None and maker["index"] not in run:
                run[maker["index"]] = maker["op_name"]
                wanted += (int(tensor) for tensor in maker["inputs"])
        names = [run[index] for index in sorted(run)]
        return Placement(names.count(_DELEGATE), tuple(name for name in names if name != _DELEGATE))

    def _load(self, **model: Any) -> Any:  # noqa: ANN401 - the runtime is untyped
        """An interpreter for a file, by its path or content."""
        module, title = _runtime()
        resolver = module.OpResolverType
        kind = resolver.AUTO if self._kernels is Kernels.XNNPACK else resolver.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        try:
            with _quiet():
                interpreter = module.Interpreter(**model, num_threads=self._threads, experimental_op_resolver_type=kind)
                interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            reason = str(error).strip().split("\n")[0]
            raise ArtifactError(f"{title} refuses {self._path}: {reason}") from error
        return interpreter

    def run(self, batch: NDArray[Any]) -> NDArray[Any]:
        """[N, C, H, W] -> [N, classes]."""
        outputs = []
        for image in np.ascontiguousarray(batch.transpose(0, 2, 3, 1)):
            self._interpreter.set_tensor(self._input, image[None])
            self._interpreter.invoke()
            outputs.append(self._interpreter.get_tensor(self._output))
        return np.concatenate(outputs)

    def bind(self, batch: NDArray[Any]) -> Callable[[], object]:
        """A function that invokes the interpreter on the one image of ``batch``, which is set beforehand."""
        self._interpreter.set_tensor(self._input, np.ascontiguousarray(batch.transpose(0, 2, 3, 1)))
        invoke: Callable[[], object] = self._interpreter.invoke
        return invoke

    def trace(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Every activation for a batch [N, C, H, W], by its name in the file, in the same order of axes.

        Raises:
            MissingDependency: the schema of ai-edge-litert, which tflite-runtime does without, is not installed.
        """
        exposed = expose(self._path)
        interpreter = self._load(model_content=exposed.content)
        found: dict[str, list[NDArray[Any]]] = {name: [] for name in exposed.tensors}
        for image in np.ascontiguousarray(batch.transpose(0, 2, 3, 1)):
            interpreter.set_tensor(self._input, image[None])
            interpreter.invoke()
            for name, index in exposed.tensors.items():
                found[name].append(interpreter.get_tensor(index))
        arrays = {name: np.concatenate(values) for name, values in found.items()}
        return {name: array.transpose(0, 3, 1, 2) if array.ndim == 4 else array for name, array in arrays.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del self._interpreter


def _runtime() -> tuple[ModuleType, str]:
    """The interpreter's module, and its name with its version."""
    for module, (package, title) in _MODULES.items():
        try:
            return importlib.import_module(module), f"{title} {importlib.metadata.version(package)}"
        except ModuleNotFoundError as error:
            if error.name != module.split(".")[0]:
                raise
    raise MissingDependency("no TFLite runtime is installed: pip install 'edgekit[tflite]'")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the runtime's "INFO: Created TensorFlow Lite XNNPACK delegate" out of our user's terminal."""
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)
