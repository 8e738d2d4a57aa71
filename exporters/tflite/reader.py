"""Reading a finished .tflite file back, and counting what it holds."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import struct
import zipfile
from collections import Counter
from typing import TYPE_CHECKING, Any

from edgekit.errors import ArtifactError
from edgekit.exporters.metadata import KEY, Metadata
from edgekit.exporters.summary import Endpoint, Summary
from edgekit.exporters.tflite import schema as tflite_schema
from edgekit.suppression import endings_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgekit.suppression import Ending

_CONVERSIONS = {"QUANTIZE", "DEQUANTIZE"}
_HEADS = {"SOFTMAX", "LOGISTIC"}  # from one output of the file to another: logits to probabilities
_ALIGNING = {"MUL", "ADD"}
_LAYERS = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}
_FIRST_FIELD = 4  # in the vtable of any table: in Buffer's of schema.fbs, that of data
_FLOATS = {"FLOAT64", "FLOAT32", "FLOAT16", "BFLOAT16"}


class Opened:
    """A .tflite file, decoded: what ``read``, ``read_contents`` and ``violations`` all look at, and nobody changes.

    Attributes:
        data: the whole file.
        model: the generated ModelT.
        graph: its first subgraph.
        types: names of the types of tensors, by number.
        builtins: names of the operators, likewise.
    """

    def __init__(self, data: bytes) -> None:
        schema = tflite_schema.load()
        self.data = data
        self.model = schema.ModelT.InitFromPackedBuf(data, 0)
        self.graph = self.model.subgraphs[0]
        self.types: dict[int, str] = tflite_schema.names(schema.TensorType)
        self.builtins: dict[int, str] = tflite_schema.names(schema.BuiltinOperator)

    def kind(self, operator: Any) -> str:  # noqa: ANN401 - generated classes
        """The name of an operator."""
        return kind(self.model.operatorCodes[operator.opcodeIndex], self.builtins)

    def dtype(self, tensor: Any) -> str:  # noqa: ANN401 - generated classes
        """The type of a tensor, in numpy's words."""
        return self.types[tensor.type].lower()

    def name(self, index: int) -> str:
        """The name of a tensor."""
        return text(self.graph.tensors[index].name)

    def is_constant(self, index: int) -> bool:
        """Whether the file holds the numbers of a tensor."""
        return self.model.buffers[self.graph.tensors[index].buffer].data is not None

    @functools.cached_property
    def metadata(self) -> dict[str, bytes]:
        """The entries by name; of two with one name the first, which is what runtimes find."""
        entries: dict[str, bytes] = {}
        for entry in items(self.model.metadata):
            entries.setdefault(text(entry.name), bytes(items(self.model.buffers[entry.buffer].data)))
        return entries

    @functools.cached_property
    def buffers(self) -> tuple[range, ...]:
        """Where the bytes of each buffer stand in the file; nowhere for one without any."""
        root = tflite_schema.load().Model.GetRootAs(self.data, 0)
        found = []
        for index in range(root.BuffersLength()):
            table = root.Buffers(index)._tab  # noqa: SLF001 - the generated classes have no other way to an address
            field = table.Offset(_FIRST_FIELD)
            start = table.Vector(field) if field else 0
            found.append(range(start, start + (table.VectorLen(field) if field else 0)))
        return tuple(found)

    @functools.cached_property
    def endings(self) -> tuple[Ending, ...]:
        """What suppresses boxes behind the network, as edgekit's metadata have it."""
        try:
            return endings_of(json.loads(self.metadata[KEY])["provenance"])
        except (KeyError, ValueError, TypeError):
            return ()

    @functools.cached_property
    def archive(self) -> zipfile.ZipFile | None:
        """What stands behind the model, if it is a ZIP archive."""
        try:
            return zipfile.ZipFile(io.BytesIO(self.data))
        except zipfile.BadZipFile:
            return None


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """Decode a .tflite file, whoever wrote it, and explain whatever turns out to be damaged within the block.

    Raises:
        ArtifactError: the file is missing, truncated or not TFLite.
        MissingDependency: ai-edge-litert is not installed.
    """
    tflite_schema.load()
    data = file_bytes(path)
    with damage_explained(path):
        yield _decoded(data)


@functools.lru_cache(maxsize=1)  # one file is looked at from many sides, then the next one
def _decoded(data: bytes) -> Opened:
    return Opened(data)


def read(path: Path) -> Summary:
    """Count the operators of the first subgraph of a .tflite file, whoever wrote it.

    An operator that reads or makes a float tensor is a float one. A conversion to or from the type of an input or
    output of the file is the boundary's; one of a constant, stored as halves, is done once and not counted.

    Raises:
        ArtifactError: the file is missing, truncated or not TFLite.
        MissingDependency: ai-edge-litert is not installed.
    """
    with opened(path) as file:
        return _summary(path, file)


def boundary(file: Opened) -> frozenset[int]:
    """The positions of operators between what callers see and the network.

    They take the input to integers (MUL, ADD, QUANTIZE), integers to the output, and logits to probabilities, or they
    suppress boxes.
    """
    graph, found = file.graph, set(_aligning(file))
    given = {int(index) for index in graph.outputs}
    ends = {int(index) for index in (*graph.inputs, *graph.outputs)}
    for position, operator in enumerate(graph.operators):
        indices = _indices(operator)
        is_head = file.kind(operator) in _HEADS and indices <= given
        is_conversion = file.kind(operator) in _CONVERSIONS and bool(ends & indices or position - 1 in found)
        ends_it = any(ending.makes(file.name(int(operator.outputs[0]))) for ending in file.endings)
        if is_head or ends_it or (is_conversion and not file.is_constant(int(operator.inputs[0]))):
            found.add(position)
    return frozenset(found)


def is_hybrid(file: Opened, operator: Any) -> bool:  # noqa: ANN401 - generated classes
    """Whether a layer reads reals and int8 weights, so that it quantizes what it reads (tflite/kernels/conv.cc)."""
    if file.kind(operator) not in _LAYERS:
        return False
    types = [file.types[file.graph.tensors[index].type] for index in operator.inputs]
    return types[:2] == ["FLOAT32", "INT8"]


def _indices(operator: Any) -> set[int]:  # noqa: ANN401 - generated classes
    """The tensors that an operator reads and makes."""
    return {int(index) for index in (*items(operator.inputs), *items(operator.outputs)) if index >= 0}


def operators(path: Path) -> tuple[tuple[str, str], ...]:
    """Kind and name of each operator of the first subgraph, in the order of execution; also of compiled files.

    Raises:
        ArtifactError: the file is missing, truncated or not TFLite.
        MissingDependency: ai-edge-litert is not installed.
    """
    with opened(path) as file:
        return tuple((file.kind(o), file.name(o.outputs[0])) for o in file.graph.operators)


def at_boundary(path: Path) -> frozenset[str]:
    """Names, as ``operators`` has them, of those between what callers see and the network.

    Raises:
        ArtifactError: the file is missing, truncated or not TFLite.
        MissingDependency: ai-edge-litert is not installed.
    """
    with opened(path) as file:
        return frozenset(file.name(file.graph.operators[position].outputs[0]) for position in boundary(file))


@contextlib.contextmanager
def damage_explained(path: Path) -> Iterator[None]:
    """Turn what the generated classes, which check nothing, make of offsets that lead astray into an ArtifactError."""
    try:
        yield
    except (struct.error, IndexError, KeyError, ValueError, TypeError, AttributeError, MemoryError) as error:
        raise ArtifactError(f"{path} is damaged or truncated: export it again") from error


def file_bytes(path: Path) -> bytes:
    """All of a file.

    Raises:
        ArtifactError: it is missing, or not TFLite.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ArtifactError(f"{path} does not exist") from error
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}") from error
    if data[4:8] != tflite_schema.FILE_IDENTIFIER:
        raise ArtifactError(f"{path} is not a TFLite file (it does not carry the mark TFL3)")
    return data


def _summary(path: Path, file: Opened) -> Summary:
    graph, ends = file.graph, boundary(file)
    operators: Counter[str] = Counter()
    float_operators = []
    for position, operator in enumerate(graph.operators):
        builtin = file.kind(operator)
        if position in ends or (builtin in _CONVERSIONS and file.is_constant(int(operator.inputs[0]))):
            continue
        operators[builtin] += 1
        if any(file.types[graph.tensors[index].type] in _FLOATS for index in _indices(operator)):
            float_operators.append(f"{builtin} {file.name(int(operator.outputs[-1]))}")
    return Summary(
        path=path,
        format="tflite",
        size_bytes=len(file.data),
        operators=dict(operators),
        float_operators=tuple(float_operators),
        boundary=tuple(file.kind(graph.operators[position]) for position in sorted(ends)),
        inputs=tuple(_endpoint(file, index) for index in graph.inputs),
        outputs=tuple(_endpoint(file, index) for index in graph.outputs),
        version=f"schema {file.model.version}",
        metadata=_metadata(file),
        signatures=tuple(text(one.signatureKey) for one in items(file.model.signatureDefs)),
    )


def _aligning(file: Opened) -> set[int]:
    """The positions of float operators that only take the input to QUANTIZE: a product and a sum with constants."""
    seen = {int(index) for index in file.graph.inputs}
    positions: list[int] = []
    for position, operator in enumerate(file.graph.operators):
        inputs = [int(index) for index in items(operator.inputs)]
        constants = [index for index in inputs if file.is_constant(index)]
        if not seen & set(inputs):
            break
        if file.kind(operator) == "QUANTIZE":
            return set(positions)
        if file.kind(operator) not in _ALIGNING or len(inputs) - len(constants) != 1:
            break
        positions.append(position)
        seen = {int(index) for index in operator.outputs}
    return set()


def kind(code: Any, builtins: dict[int, str]) -> str:  # noqa: ANN401 - generated classes
    """The name of an operator: its own if it is a custom one, a number if it is newer than the schema at hand."""
    if code.customCode is not None:
        return text(code.customCode)
    number = max(code.builtinCode, code.deprecatedBuiltinCode)  # files from before 2020 have the second alone
    return builtins.get(number, f"operator {number}")


def _endpoint(file: Opened, index: int) -> Endpoint:
    tensor = file.graph.tensors[index]
    quantization = tensor.quantization
    quantized = quantization is not None and len(items(quantization.scale)) > 0
    return Endpoint(
        file.name(index),
        file.dtype(tensor),
        tuple(int(n) for n in items(tensor.shape)),
        float(quantization.scale[0]) if quantized else None,
        int(quantization.zeroPoint[0]) if quantized else None,
    )


def _metadata(file: Opened) -> Metadata | None:
    """What edgekit wrote about the file. Labels stand behind the model, where nothing else would miss a lost end."""
    if KEY not in file.metadata:
        return None
    metadata = Metadata.from_json(file.metadata[KEY].decode())
    if metadata.labels and file.archive is None:
        raise ValueError("the labels are missing")
    return metadata


def items(vector: Any) -> Any:  # noqa: ANN401 - generated classes
    """A vector of the schema; an empty one where the file has none."""
    return () if vector is None else vector


def text(value: bytes | str) -> str:
    """A string of the schema, which the generated classes leave as bytes."""
    return value.decode() if isinstance(value, bytes) else value
