"""Reading a finished .onnx file back, and counting what it holds."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, numpy_helper

from edgekit import files
from edgekit.errors import ArtifactError
from edgekit.exporters.metadata import KEY, Metadata
from edgekit.exporters.summary import Endpoint, Summary

if TYPE_CHECKING:
    from pathlib import Path

_QUANTIZE, _DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
_MOVES = {"Flatten", "Reshape", "Transpose", "Identity"}  # they carry integers as they are


def read(path: Path) -> Summary:
    """Count the operators of an .onnx file, whoever wrote it.

    In a QDQ graph an operator computes in integers if everything it reads comes from DequantizeLinear and its result goes
    into QuantizeLinear and nowhere else, a fused clamp in between allowed; any other operator is a float one.

    Raises:
        ArtifactError: the file is missing, truncated or not ONNX.
    """
    model = load(path)
    graph = model.graph
    makers = {output: node for node in graph.node for output in node.output}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    constants = {initializer.name for initializer in graph.initializer}
    operators: Counter[str] = Counter()
    float_operators, boundary = [], []
    for node in graph.node:
        if node.op_type in {_QUANTIZE, _DEQUANTIZE}:
            if _crosses_boundary(node, model):
                boundary.append(node.op_type)
            continue
        operators[node.op_type] += 1
        from_integers = all(
            name in constants and index > 0 or name in makers and makers[name].op_type == _DEQUANTIZE
            for index, name in enumerate(node.input)
            if name
        )
        to_integers = all(r.op_type == _QUANTIZE for r in readers.get(node.output[0], [])) and node.output[0] in readers
        moves_integers = node.op_type in _MOVES and node.input[0] in makers and makers[node.input[0]].op_type == _QUANTIZE
        if not (from_integers and to_integers or moves_integers):
            float_operators.append(f"{node.op_type} {node.output[0]}")
    opset = next((entry.version for entry in model.opset_import if entry.domain == ""), 0)
    text = next((entry.value for entry in model.metadata_props if entry.key == KEY), None)
    return Summary(
        path=path,
        format="onnx",
        size_bytes=files.size_bytes(path),
        operators=dict(operators),
        float_operators=tuple(float_operators),
        boundary=tuple(boundary),
        inputs=tuple(_endpoint(v, model) for v in graph.input if v.name not in constants),
        outputs=tuple(_endpoint(v, model) for v in graph.output),
        version=f"opset {opset}, IR {model.ir_version}",
        metadata=None if text is None else Metadata.from_json(text),
    )


def load(path: Path) -> onnx.ModelProto:
    """Parse and check an .onnx file.

    Raises:
        ArtifactError: the file is missing, truncated or not ONNX.
    """
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except FileNotFoundError as error:
        raise ArtifactError(f"{path} does not exist") from error
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}") from error
    except (DecodeError, onnx.checker.ValidationError) as error:
        raise ArtifactError(f"{path} is not an ONNX file, or is damaged or truncated: export it again") from error
    return model


def _crosses_boundary(node: onnx.NodeProto, model: onnx.ModelProto) -> bool:
    ends = {v.name for v in (*model.graph.input, *model.graph.output)}
    return node.input[0] in ends or node.output[0] in ends


def _endpoint(value: onnx.ValueInfoProto, model: onnx.ModelProto) -> Endpoint:
    tensor_type = value.type.tensor_type
    dtype = TensorProto.DataType.Name(tensor_type.elem_type).lower()
    shape = tuple(axis.dim_value if axis.HasField("dim_value") else -1 for axis in tensor_type.shape.dim)
    scale = zero_point = None
    constants = {initializer.name: initializer for initializer in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in {_QUANTIZE, _DEQUANTIZE} and dtype != "float" and value.name in (node.input[0], node.output[0]):
            scale, zero_point = (numpy_helper.to_array(constants[name]).item() for name in node.input[1:3])
    return Endpoint(value.name, {"float": "float32"}.get(dtype, dtype), shape, scale, zero_point)
