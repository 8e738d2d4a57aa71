"""Everything that an .onnx file says, operator by operator."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from edgekit.exporters.contents import (
    LABELS,
    OPERATOR,
    Contents,
    Operator,
    io_dtype_of,
    metadata_facts,
    said_options,
    unique_names,
    with_origins,
)
from edgekit.exporters.metadata import KEY
from edgekit.exporters.onnx.reader import Census, load, opset_of
from edgekit.exporters.onnx.versions import OnnxVersion, runtime_for
from edgekit.exporters.vocabulary import Does

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import onnx

    from edgekit.exporters.contents import Value

# What an operator reads, in order; https://onnx.ai/onnx/operators.
_ROLES: Final = {
    "Add": ("first", "second"),
    "BatchNormalization": ("input", "scale", "bias", "mean", "variance"),
    "Clip": ("input", "low", "high"),
    "Conv": ("input", "weight", "bias"),
    "ConvInteger": ("input", "weight", "zero point", "weight's zero point"),
    "DequantizeLinear": ("input", "scale", "zero point"),
    "Gather": ("input", "places"),
    "GatherND": ("input", "places"),
    "Gemm": ("input", "weight", "bias"),
    "Greater": ("value", "least value"),
    "MatMulInteger": ("input", "weight", "zero point", "weight's zero point"),
    "Mul": ("first", "second"),
    "NonMaxSuppression": ("boxes", "scores", "most of a class", "overlap", "least score"),
    "Pad": ("input", "widths", "value"),
    "QuantizeLinear": ("input", "scale", "zero point"),
    "Reshape": ("input", "target shape"),
    "ReduceSum": ("input", "axes"),
    "ScatterElements": ("input", "places", "values"),
    "Slice": ("input", "starts", "ends", "axes", "steps"),
    "TopK": ("input", "count"),
    "Where": ("condition", "first", "second"),
}
_DOES: Final = {
    "Add": Does.ADD,
    "ArgMax": Does.CHOOSE,
    "AveragePool": Does.POOL,
    "BatchNormalization": Does.NORMALIZE,
    "Cast": Does.CONVERT,
    "Clip": Does.CLAMP,
    "Concat": Does.JOIN,
    "ConvInteger": Does.QUANTIZE_AND_COMPUTE,
    "DequantizeLinear": Does.DEQUANTIZE,
    "Flatten": Does.RESHAPE,
    "Gather": Does.PAD,  # edgekit puts channels behind those of an image
    "GlobalAveragePool": Does.POOL,
    "HardSigmoid": Does.HARD_SIGMOID,
    "HardSwish": Does.HARD_SWISH,
    "MaxPool": Does.POOL,
    "MatMulInteger": Does.QUANTIZE_AND_COMPUTE,
    "Mul": Does.MULTIPLY,
    "Pad": Does.PAD,
    "QuantizeLinear": Does.QUANTIZE,
    "ReduceMean": Does.POOL,
    "Relu": Does.CLAMP,
    "Resize": Does.RESIZE,
    "Slice": Does.CROP,
    "Sigmoid": Does.SIGMOID,
    "Softmax": Does.SOFTMAX,
    "Reshape": Does.RESHAPE,
    "Transpose": Does.TRANSPOSE,
}
_ATTRIBUTES: Final = {"strides": "stride", "pads": "padding", "group": "groups", "kernel_shape": "kernel shape"}


def read_contents(path: Path) -> Contents:
    """Everything that a file says.

    Raises:
        ArtifactError: the file is missing, truncated or not ONNX.
    """
    model = load(path)
    graph = model.graph
    constants = {entry.name: entry for entry in graph.initializer}
    names = unique_names(node.output[0] for node in graph.node)
    operators = tuple(_operator(name, node, constants) for name, node in zip(names, graph.node, strict=True))
    inputs = [value for value in graph.input if value.name not in constants]
    version, census = OnnxVersion(opset_of(model), model.ir_version), Census(model)
    text = next((entry.value for entry in model.metadata_props if entry.key == KEY), None)
    operators, misfit = with_origins(operators, text)
    facts = dict(_facts(model, inputs, constants)) | misfit
    return Contents(
        operators,
        facts,
        io_dtype_of(_dtype(inputs[0].type.tensor_type.elem_type)) if inputs else io_dtype_of(""),
        {"runtime": runtime_for(version)} | said_options(facts),
        boundary=frozenset(node.output[0] for node in graph.node if census.is_of_ending(node)),
    )


def _operator(name: str, node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> Operator:
    fields = dict(_fields(node, constants))
    read = tuple(name for name in node.input if name in constants)
    return Operator(name, fields, read, _DOES.get(str(fields[OPERATOR]), Does.OTHER))


def _dtype(element_type: int) -> str:
    name: str = TensorProto.DataType.Name(element_type).lower()
    return {"float": "float32"}.get(name, name)


def _fields(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> Iterator[tuple[str, Value]]:
    yield OPERATOR, f"{node.domain}.{node.op_type}" if node.domain else node.op_type
    for attribute in sorted(node.attribute, key=lambda entry: str(entry.name)):
        yield _ATTRIBUTES.get(attribute.name, attribute.name), _attribute(helper.get_attribute_value(attribute))
    roles = _ROLES.get(node.op_type, ("input",))
    for position, name in enumerate(node.input):
        role = roles[position] if position < len(roles) else f"input {position}"
        if name in constants:
            constant = numpy_helper.to_array(constants[name])
            yield "integers" if (node.op_type, role) == ("DequantizeLinear", "input") else role, constant
        elif name:
            yield role, name
    if len(node.output) > 1:
        yield "outputs", tuple(node.output)


def _attribute(value: Any) -> Value:  # noqa: ANN401 - whatever an attribute can hold
    """An attribute as a value; graphs and sparse tensors, which edgekit writes none of, as their bytes."""
    match value:
        case bytes():
            return value.decode(errors="replace")
        case TensorProto():
            return numpy_helper.to_array(value)
        case str() | int() | float():
            return value
        case _ if hasattr(value, "SerializeToString"):
            return np.frombuffer(value.SerializeToString(deterministic=True), np.uint8)
        case _:
            return tuple(_attribute(entry) for entry in value)


def _facts(
    model: onnx.ModelProto, inputs: list[onnx.ValueInfoProto], constants: Mapping[str, onnx.TensorProto]
) -> Iterator[tuple[str, Value]]:
    graph = model.graph
    yield "opsets", tuple(f"{entry.domain}{' ' if entry.domain else ''}{entry.version}" for entry in model.opset_import)
    yield "IR version", int(model.ir_version)
    yield "producer", model.producer_name
    yield "name of the graph", graph.name
    for role, values in (("inputs", inputs), ("outputs", graph.output), ("declared types", graph.value_info)):
        yield role, tuple(_declaration(value) for value in values)
    read = {name for node in graph.node for name in node.input}
    yield "constants that nothing uses", tuple(name for name in constants if name not in read)
    named = Counter(entry.name for entry in graph.initializer)
    yield "constants with one name", tuple(name for name, count in named.items() if count > 1)
    yield "functions", tuple(function.name for function in model.functions)
    properties = {entry.key: entry.value for entry in model.metadata_props}  # others may add theirs
    yield LABELS, tuple(properties[LABELS].split("\n")) if LABELS in properties else ()
    yield from metadata_facts(properties.get(KEY)).items()


def _declaration(value: onnx.ValueInfoProto) -> str:
    tensor_type = value.type.tensor_type
    axes = (
        axis.dim_param or (str(axis.dim_value) if axis.HasField("dim_value") else "?") for axis in tensor_type.shape.dim
    )
    return f"{value.name}: {_dtype(tensor_type.elem_type)} [{', '.join(axes)}]"
