"""LiteRT (ai-edge-litert), or tflite-runtime where only that is installed."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from edgekit.device.engines.engine import NUMPY_1, FixedBatch, Kind, Placement, Wheels
from edgekit.errors import ArtifactError, MissingDependency

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import ModuleType

    from numpy.typing import NDArray

XNNPACK, BUILTIN = "XNNPACK", "builtin"  # what applications get by default; TFLite's own, without a delegate

# Module -> (its package, what people call it), the first that is installed.
_MODULES = {
    "ai_edge_litert.interpreter": ("ai-edge-litert", "LiteRT"),
    "tflite_runtime.interpreter": ("tflite-runtime", "tflite-runtime"),
}
_DELEGATE = "DELEGATE"


class Opened:
    """A .tflite file."""

    def __init__(
        self,
        path: Path,
        *,
        kernels: str = XNNPACK,
        threads: int = 1,
        batch: int | None = None,
        content: bytes | None = None,
    ) -> None:
        """Load a file.

        Args:
            path: of the file.
            kernels: ``XNNPACK`` or ``BUILTIN``.
            threads: that one run may use.
            batch: images at once; None for as many as the file says.
            content: in place of what lies at ``path``.

        Raises:
            ArtifactError: the runtime refuses it, or it does not take such a batch.
            MissingDependency: neither runtime is installed.
        """
        module, title = runtime()
        resolver = module.OpResolverType
        kind = resolver.AUTO if kernels == XNNPACK else resolver.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        model = {"model_path": str(path)} if content is None else {"model_content": content}
        try:
            with quiet():
                self.interpreter = module.Interpreter(**model, num_threads=threads, experimental_op_resolver_type=kind)
                self._input = self.interpreter.get_input_details()[0]["index"]
                given = self.interpreter.get_output_details()
                self._outputs = {str(details["name"]): int(details["index"]) for details in given}
                self._size(path, batch)
        except (ValueError, RuntimeError) as error:
            raise ArtifactError(f"{title} refuses {path}: {str(error).strip().partition(chr(10))[0]}") from error
        self.kernels = XNNPACK if self._is_delegated() else BUILTIN  # not what was asked for, but what runs
        self.name = f"{title}, {self.kernels}"

    @property
    def shape(self) -> tuple[int, ...]:
        """[N, H, W, C]."""
        return tuple(int(size) for size in self.interpreter.get_input_details()[0]["shape"])

    @property
    def dtype(self) -> str:
        """As numpy names it."""
        import numpy as np  # noqa: PLC0415 - see edgekit.device.engines.engine

        return str(np.dtype(self.interpreter.get_input_details()[0]["dtype"]).name)

    @property
    def placement(self) -> Placement:
        """Where the operators went.

        A delegate is appended to the list of operators and takes over the tensors that its part of the graph makes, but
        what it replaced stays in the list. So the list is walked from the outputs back to the input, from a tensor to
        the last operator that makes it: what is never reached is never run. The list comes from an interface that the
        runtime marks as private; there is no public one.
        """
        names = [name for _, name in sorted(self._run().items())]
        return Placement(names.count(_DELEGATE), tuple(name for name in names if name != _DELEGATE))

    def _run(self) -> dict[int, str]:
        """The operators that are run, the delegate's pieces among them: names by index."""
        makers = {int(tensor): op for op in self._operators() for tensor in op["outputs"]}
        run: dict[int, str] = {}
        wanted = list(self._outputs.values())
        while wanted:
            maker = makers.get(wanted.pop())
            if maker is not None and maker["index"] not in run:
                run[maker["index"]] = maker["op_name"]
                wanted += (int(tensor) for tensor in maker["inputs"])
        return run

    def _operators(self) -> list[dict[str, Any]]:
        operators: list[dict[str, Any]] = self.interpreter._get_ops_details()  # noqa: SLF001 - see ``placement``
        return operators

    def _is_delegated(self) -> bool:
        """Whether a delegate runs any of it; where there are integers, any operator that makes some.

        XNNPACK of tflite-runtime takes the float arithmetic of a boundary, and leaves int8 to TFLite's own kernels.
        """
        run = self._run()
        types = {tensor["index"]: tensor["dtype"].__name__ for tensor in self.interpreter.get_tensor_details()}
        makes_integers = [
            op["index"]
            for op in self._operators()
            if op["op_name"] != _DELEGATE and any(types.get(int(tensor)) == "int8" for tensor in op["outputs"])
        ]
        if makes_integers:
            return any(index not in run for index in makes_integers)
        return _DELEGATE in run.values()

    def run(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The outputs by name for a batch, both as the file has them."""
        self.bind(batch)()
        return {name: self.tensor(index) for name, index in self._outputs.items()}

    def bind(self, batch: NDArray[Any]) -> Callable[[], object]:
        """A function that invokes the interpreter on ``batch``, which is set beforehand."""
        self.interpreter.set_tensor(self._input, batch)
        invoke: Callable[[], object] = self.interpreter.invoke
        return invoke

    def tensor(self, index: int) -> NDArray[Any]:
        """A copy of a tensor of the file, after a run."""
        values: NDArray[Any] = self.interpreter.get_tensor(index)
        return values

    def _size(self, path: Path, batch: int | None) -> None:
        """Allocate for a batch. What follows the input takes it over, unless the file holds it fast somewhere."""
        own = self.shape[0]
        if batch is None or batch == own:
            self.interpreter.allocate_tensors()
            return
        try:
            self.interpreter.resize_tensor_input(self._input, [batch, *self.shape[1:]], strict=False)
            self.interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise FixedBatch.of(path, own, batch) from error
        if int(self.interpreter.get_output_details()[0]["shape"][0]) != batch:
            raise FixedBatch.of(path, own, batch)


def runtime() -> tuple[ModuleType, str]:
    """The interpreter's module, and its name with its version.

    Raises:
        MissingDependency: neither runtime is installed.
    """
    for name, (package, title) in _MODULES.items():
        module = _module(name)
        if module is not None:
            return module, f"{title} {importlib.metadata.version(package)}"
    raise MissingDependency("no TFLite runtime is installed: pip install 'edgekit[tflite]'")


def _module(name: str) -> ModuleType | None:
    """An installed module; None where its package is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in {name, name.split(".", maxsplit=1)[0]}:
            raise
        return None


@contextmanager
def quiet() -> Iterator[None]:
    """Keep "INFO: Created TensorFlow Lite XNNPACK delegate" and the like out of our user's terminal."""
    null = os.open(os.devnull, os.O_WRONLY)
    saved = {stream: os.dup(stream) for stream in (1, 2)}
    for stream in saved:
        os.dup2(null, stream)
    try:
        yield
    finally:
        for stream, copy in saved.items():
            os.dup2(copy, stream)
            os.close(copy)
        os.close(null)


_BOTH = ("aarch64", "x86_64")
KIND = Kind(
    "litert",
    packages=("ai-edge-litert", "tflite-runtime"),
    wheels=(
        Wheels("ai-edge-litert", _BOTH, (3, 10), (3, 14), (2, 27)),
        Wheels("ai-edge-litert", _BOTH, (3, 9), (3, 12), (2, 17)),
        Wheels("tflite-runtime", ("aarch64", "armv7l"), (3, 9), (3, 11), (2, 34), NUMPY_1),  # it is built for it
        Wheels("tflite-runtime", ("aarch64", "armv7l"), (3, 9), (3, 10), (2, 17), NUMPY_1),
        Wheels("tflite-runtime", ("x86_64",), (3, 9), (3, 11), (2, 17), NUMPY_1),
    ),
    excuses={
        BUILTIN: "TFLite's own int8 kernels round twice, so these integers cannot be the same: use ai-edge-litert",
    },
)
