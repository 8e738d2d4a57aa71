"""A format and a runtime as another package would bring them: integer models in .npz files, run by numpy.

It is installed under a name of its own, with entry points (``test_cli_plugins.py``), and knows nothing but what any
package can import.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from edgekit.errors import ArtifactError, ConfigError
from edgekit.exporters import metadata
from edgekit.exporters.contents import OPERATOR, Contents, Operator, metadata_facts
from edgekit.exporters.format import Format
from edgekit.exporters.metadata import Head, IoDtype, Metadata
from edgekit.exporters.summary import Endpoint, Summary, Violation
from edgekit.exporters.vocabulary import Does
from edgekit.integer_model import IntegerModel
from edgekit.reference.integer import Reference
from edgekit.runtimes.runtime import Kernels, Runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType

    from numpy.typing import NDArray

    from edgekit.exporters.contents import Value
    from edgekit.float_model import FloatModel
    from edgekit.ir import Graph

_SCALE, _SHIFT, _STORE = "scale", "shift", "store"  # what stands in front of the integers


def write_integer_model(
    model: IntegerModel, path: Path, *, io_dtype: IoDtype, head: Head = Head.LOGITS, batch: int | None = None
) -> None:
    """Write the model, what its float input is multiplied by and moved by, and the metadata."""
    about = metadata.of_integer_model(model, io_dtype, head, batch=batch)
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "model.edgekit"
        model.save(saved)
        content = np.frombuffer(saved.read_bytes(), np.uint8)
    alignment = model.alignment
    arrays = {_SCALE: alignment.gains or (1.0,), _SHIFT: alignment.offsets or (0.0,)}
    constants = {name: np.array(values, np.float32).reshape(-1, 1, 1) for name, values in arrays.items()}
    np.savez(path, model=content, about=np.array(about.to_json()), **constants)  # type: ignore[arg-type] # numpy's stubs
    path.with_name(f"{path.name}.npz").rename(path)


def write_float_model(model: FloatModel, path: Path, **_: object) -> None:
    """Refuse: this format holds integers."""
    raise ConfigError(f"{path} would be a float file, and this format holds integers")


def _opened(path: Path) -> tuple[IntegerModel, Metadata, dict[str, NDArray[Any]]]:
    try:
        with np.load(path) as arrays, tempfile.TemporaryDirectory() as folder:
            saved = Path(folder) / "model.edgekit"
            saved.write_bytes(arrays["model"].tobytes())
            model = IntegerModel.load(saved)
            return model, Metadata.from_json(str(arrays["about"])), {n: arrays[n] for n in (_SCALE, _SHIFT)}
    except (OSError, KeyError, ValueError) as error:
        raise ArtifactError(f"{path} is no toy: {error}") from error


def read(path: Path) -> Summary:
    """A finished file, counted."""
    model, about, _ = _opened(path)
    graph = model.graph
    return Summary(
        path=path,
        format="toy",
        size_bytes=path.stat().st_size,
        operators=Counter(type(node.op).__name__ for node in graph),
        float_operators=(),
        boundary=(_SCALE, _SHIFT, _STORE),
        inputs=(Endpoint("image", "float32", (-1, *graph.tensors[graph.input].shape)),),
        outputs=tuple(Endpoint(o.name, "float32", (-1, *graph.tensors[o.tensor].shape)) for o in graph.outputs),
        version="toy 1",
        metadata=about,
    )


def read_contents(path: Path) -> Contents:
    """Everything that a finished file says."""
    model, about, arrays = _opened(path)
    params, names = model.params[model.graph.input], (_SCALE, _SHIFT, _STORE)
    operators = [
        Operator(_SCALE, {OPERATOR: "Scale", "first": "image", "second": arrays[_SCALE]}, does=Does.MULTIPLY),
        Operator(_SHIFT, {OPERATOR: "Shift", "first": _SCALE, "second": arrays[_SHIFT]}, does=Does.ADD),
        Operator(
            _STORE,
            {OPERATOR: "Store", "input": _SHIFT, "scale": params.scale, "zero point": params.zero_point},
            does=Does.QUANTIZE,
        ),
        *(Operator(node.output, dict(_fields(model, node))) for node in model.graph),
    ]
    return Contents(tuple(operators), metadata_facts(about.to_json()), IoDtype.FLOAT32, boundary=frozenset(names))


def _fields(model: IntegerModel, node: Any) -> Iterator[tuple[str, Value]]:
    yield OPERATOR, type(node.op).__name__
    for position, name in enumerate(node.inputs):
        yield f"input {position}", model.graph.constants.get(name, name)
        if name in model.params:
            yield f"scale {position}", model.params[name].scale


def violations(path: Path, runtime: str | None = None) -> tuple[Violation, ...]:
    """Nothing that can be read breaks a rule."""
    del runtime
    _opened(path)
    return ()


def activation_names(graph: Graph) -> Mapping[str, tuple[str, ...]]:
    """The runtime below shows none, so any will do."""
    return {name: (name,) for name in graph.tensors}


class Runner:
    """Runs a file by numpy."""

    differs_because: str | None = None
    simulated: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        """Load a file."""
        self._model, _, self._arrays = _opened(path)
        self.name = f"toy on numpy {np.__version__}"

    def run(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The outputs by name for [N, C, H, W]."""
        params = self._model.params
        aligned = batch * self._arrays[_SCALE] + self._arrays[_SHIFT]
        stored = Reference(self._model).run(params[self._model.graph.input].quantize(aligned))
        outputs = self._model.graph.outputs
        return {o.name: params[o.tensor].dequantize(stored[o.name]).astype(np.float32) for o in outputs}

    def bind(self, batch: NDArray[Any]) -> Callable[[], object]:
        """A function that runs the file on ``batch``."""
        return lambda: self.run(batch)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close."""


def _open(path: Path, *, kernels: str, threads: int) -> Runner:
    del kernels, threads
    return Runner(path)


FORMAT = Format(
    name="toy",
    suffix=".toy",
    title="Toy",
    distributions=(),
    install="edgekit-toy",
    codec=lambda: sys.modules[__name__],
    io_dtypes=("float32",),
)
RUNTIME = Runtime("toy-numpy", format="toy", open=_open, kernels=(Kernels(),))
