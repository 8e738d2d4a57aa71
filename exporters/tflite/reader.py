"""Reading a finished .tflite file back, and counting what it holds."""

from __future__ import annotations

import struct
from collections import Counter
from typing import TYPE_CHECKING, Any

from edgekit import files
from edgekit.errors import ArtifactError
from edgekit.exporters.metadata import KEY, Metadata
from edgekit.exporters.summary import Endpoint, Summary
from edgekit.exporters.tflite import schema as tflite_schema

if TYPE_CHECKING:
    from pathlib import Path

_BOUNDARY = {"QUANTIZE", "DEQUANTIZE"}


def read(path: Path) -> Summary:
    """Count the operators of a .tflite file, whoever wrote it.

    Raises:
        ArtifactError: the file is missing, truncated or not TFLite.
        MissingDependency: ai-edge-litert is not installed.
    """
    schema = tflite_schema.load()
    model = _parse(path, schema)
    graph = model.subgraphs[0]
    operator_names, types = tflite_schema.names(schema.BuiltinOperator), tflite_schema.names(schema.TensorType)
    codes = [operator_names[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in model.operatorCodes]
    floats = {"FLOAT32", "FLOAT16", "FLOAT64", "BFLOAT16"}
    operators: Counter[str] = Counter()
    float_operators, boundary = [], []
    for operator in graph.operators:
        kind = codes[operator.opcodeIndex]
        tensors = [graph.tensors[i] for i in (*operator.inputs, *operator.outputs) if i >= 0]
        is_float = any(types[tensor.type] in floats for tensor in tensors)
        if kind in _BOUNDARY:
            if not model.buffers[tensors[0].buffer].data is not None:  # stored halves are converted once, not at run time
                boundary.append(kind)
            continue
        operators[kind] += 1
        if is_float:
            float_operators.append(f"{kind} {_text(graph.tensors[operator.outputs[0]].name)}")
    return Summary(
        path=path,
        format="tflite",
        size_bytes=files.size_bytes(path),
        operators=dict(operators),
        float_operators=tuple(float_operators),
        boundary=tuple(boundary),
        inputs=tuple(_endpoint(graph.tensors[i], types) for i in graph.inputs),
        outputs=tuple(_endpoint(graph.tensors[i], types) for i in graph.outputs),
        version=f"schema {model.version}",
        metadata=_metadata(model),
    )


def _parse(path: Path, schema: Any) -> Any:  # noqa: ANN401 - generated classes
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ArtifactError(f"{path} does not exist") from error
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}") from error
    if data[4:8] != tflite_schema.FILE_IDENTIFIER:
        raise ArtifactError(f"{path} is not a TFLite file (it does not carry the mark TFL3)")
    try:
        model = schema.ModelT.InitFromPackedBuf(data, 0)
        assert model.subgraphs
        assert model.buffers
    except (struct.error, IndexError, ValueError, TypeError, AssertionError, UnicodeDecodeError, AttributeError) as error:
        raise ArtifactError(f"{path} is damaged or truncated: export it again") from error
    return model


def _endpoint(tensor: Any, types: dict[int, str]) -> Endpoint:  # noqa: ANN401 - generated classes
    quantization = tensor.quantization
    quantized = quantization is not None and quantization.scale is not None and len(quantization.scale) > 0
    return Endpoint(
        _text(tensor.name),
        types[tensor.type].lower(),
        tuple(int(n) for n in tensor.shape),
        float(quantization.scale[0]) if quantized else None,
        int(quantization.zeroPoint[0]) if quantized else None,
    )


def _metadata(model: Any) -> Metadata | None:  # noqa: ANN401 - generated classes
    for entry in model.metadata or ():
        if _text(entry.name) == KEY:
            return Metadata.from_json(bytes(model.buffers[entry.buffer].data).decode())
    return None


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
