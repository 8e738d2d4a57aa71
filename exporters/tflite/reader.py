"""Reading a finished .tflite file back, and counting what it holds."""

from __future__ import annotations

import contextlib
import io
import struct
import zipfile
from collections import Counter
from typing import TYPE_CHECKING, Any

from edgekit.errors import ArtifactError
from edgekit.exporters.metadata import KEY, Metadata
from edgekit.exporters.summary import Endpoint, Summary
from edgekit.exporters.tflite import schema as tflite_schema

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CONVERSIONS = {"QUANTIZE", "DEQUANTIZE"}
_HEADS = {"SOFTMAX", "LOGISTIC"}  # from one output of the file to another: logits to probabilities
_ALIGNING = {"MUL", "ADD"}
_FLOATS = {"FLOAT64", "FLOAT32", "FLOAT16", "BFLOAT16"}


def read(path: Path) -> Summary:
    """Count the operators of the first subgraph of a .tflite file, whoever wrote it.

    An operator that reads or makes a float tensor is a float one. A conversion to or from the type of an input or
    output of the file is the boundary's; one of a constant, stored as halves, is done once and not counted.

    Raises:
        ArtifactError: the file is missing, truncated or not TFLite.
        MissingDependency: ai-edge-litert is not installed.
    """
    schema = tflite_schema.load()
    data = file_bytes(path)
    with damage_explained(path):
        return _summary(path, data, schema)


def operators(path: Path) -> tuple[tuple[str, str], ...]:
    """Kind and name of each operator of the first subgraph, in the order of execution; also of compiled files.

    Raises:
        ArtifactError: the file is missing, truncated or not TFLite.
        MissingDependency: ai-edge-litert is not installed.
    """
    schema = tflite_schema.load()
    data = file_bytes(path)
    with damage_explained(path):
        model = schema.ModelT.InitFromPackedBuf(data, 0)
        graph, builtins = model.subgraphs[0], tflite_schema.names(schema.BuiltinOperator)
        return tuple(
            (kind(model.operatorCodes[o.opcodeIndex], builtins), text(graph.tensors[o.outputs[0]].name))
            for o in graph.operators
        )


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


def archive(data: bytes) -> zipfile.ZipFile | None:
    """What stands behind the model, if it is a ZIP archive."""
    try:
        return zipfile.ZipFile(io.BytesIO(data))
    except zipfile.BadZipFile:
        return None


def _summary(path: Path, data: bytes, schema: Any) -> Summary:  # noqa: ANN401 - generated classes
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    graph = model.subgraphs[0]
    types, builtins = tflite_schema.names(schema.TensorType), tflite_schema.names(schema.BuiltinOperator)
    kinds = [kind(code, builtins) for code in model.operatorCodes]
    given = {int(index) for index in graph.outputs}
    ends = {int(index) for index in (*graph.inputs, *graph.outputs)}
    operators: Counter[str] = Counter()
    float_operators, boundary = [], []
    aligning = _aligning(graph, model, kinds)
    for position, operator in enumerate(graph.operators):
        builtin = kinds[operator.opcodeIndex]
        if position in aligning:
            boundary.append(builtin)
            continue
        indices = [int(index) for index in (*items(operator.inputs), *items(operator.outputs)) if index >= 0]
        tensors = [graph.tensors[index] for index in indices]
        if builtin in _HEADS and set(indices) <= given:
            boundary.append(builtin)
            continue
        if builtin in _CONVERSIONS:
            if model.buffers[tensors[0].buffer].data is not None:
                continue
            if ends & set(indices) or position - 1 in aligning:
                boundary.append(builtin)
                continue
        operators[builtin] += 1
        if any(types[tensor.type] in _FLOATS for tensor in tensors):
            float_operators.append(f"{builtin} {text(tensors[-1].name)}")
    return Summary(
        path=path,
        format="tflite",
        size_bytes=len(data),
        operators=dict(operators),
        float_operators=tuple(float_operators),
        boundary=tuple(boundary),
        inputs=tuple(_endpoint(graph.tensors[i], types) for i in graph.inputs),
        outputs=tuple(_endpoint(graph.tensors[i], types) for i in graph.outputs),
        version=f"schema {model.version}",
        metadata=_metadata(model, data),
    )


def _aligning(graph: Any, model: Any, kinds: list[str]) -> set[int]:  # noqa: ANN401 - generated classes
    """The positions of float operators that only take the input to QUANTIZE: a product and a sum with constants."""
    seen = {int(index) for index in graph.inputs}
    positions: list[int] = []
    for position, operator in enumerate(graph.operators):
        inputs = [int(index) for index in items(operator.inputs)]
        constants = [index for index in inputs if model.buffers[graph.tensors[index].buffer].data is not None]
        if not seen & set(inputs):
            break
        if kinds[operator.opcodeIndex] == "QUANTIZE":
            return set(positions)
        if kinds[operator.opcodeIndex] not in _ALIGNING or len(inputs) - len(constants) != 1:
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


def _endpoint(tensor: Any, types: dict[int, str]) -> Endpoint:  # noqa: ANN401 - generated classes
    quantization = tensor.quantization
    quantized = quantization is not None and len(items(quantization.scale)) > 0
    return Endpoint(
        text(tensor.name),
        types[tensor.type].lower(),
        tuple(int(n) for n in items(tensor.shape)),
        float(quantization.scale[0]) if quantized else None,
        int(quantization.zeroPoint[0]) if quantized else None,
    )


def _metadata(model: Any, data: bytes) -> Metadata | None:  # noqa: ANN401 - generated classes
    """What edgekit wrote about the file. Labels stand behind the model, where nothing else would miss a lost end."""
    for entry in items(model.metadata):
        if text(entry.name) == KEY:
            metadata = Metadata.from_json(bytes(model.buffers[entry.buffer].data).decode())
            if metadata.labels and not zipfile.is_zipfile(io.BytesIO(data)):
                raise ValueError("the labels are missing")
            return metadata
    return None


def items(vector: Any) -> Any:  # noqa: ANN401 - generated classes
    """A vector of the schema; an empty one where the file has none."""
    return () if vector is None else vector


def text(value: bytes | str) -> str:
    """A string of the schema, which the generated classes leave as bytes."""
    return value.decode() if isinstance(value, bytes) else value
