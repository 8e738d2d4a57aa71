"""One function an operator: a Node of the canonical graph, written as TFLite operators.

The same functions serve float and integer models: a tensor is int8 where the builder has parameters for it. In an integer
model a fused clamp is nothing but the output's range, so the fused activation is always NONE.
Versions are those of tflite/tools/versioning/op_version.cc.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from edgekit.errors import UnsupportedOperator
from edgekit.exporters.tflite.builder import TfliteBuilder, nhwc
from edgekit.ir import Add, Conv2d, Flatten, HardSwish, Linear, Mean, Mul, Pad, Padding
from edgekit.ir.registry import OperatorTable

if TYPE_CHECKING:
    from edgekit.ir import Node

OPERATORS: OperatorTable[Callable[[Node, TfliteBuilder], None]] = OperatorTable("TFLite")


def _activation(node: Node, model: TfliteBuilder) -> int:
    """The fused activation function of ``node`` in the schema's numbers."""
    functions = model.schema.ActivationFunctionType
    clamp = node.activation
    match None if clamp is None else (clamp.low, clamp.high):
        case None:
            return int(functions.NONE)
        case (0.0, math.inf):
            return int(functions.RELU)
        case (0.0, 6.0):
            return int(functions.RELU6)
        case bounds:
            raise UnsupportedOperator(f"TFLite cannot fuse a clamp to {bounds} (layer {node.name!r})")


@OPERATORS.implements(Conv2d)
def _conv2d(node: Node, model: TfliteBuilder) -> None:
    assert isinstance(node.op, Conv2d)
    x, weight, bias = node.inputs
    source = model.activation(x)
    kernel = model.graph.constants[weight]  # [O, I / groups, kH, kW]
    channels, height, width = model.graph.tensors[x].shape
    depthwise = node.op.groups == channels and node.op.groups > 1
    if not depthwise and node.op.groups != 1:
        raise UnsupportedOperator(f"TFLite has no grouped convolution (layer {node.name!r})")
    padding = model.schema.Padding.VALID
    if node.op.padding:
        if node.op.padding == Padding.same((height, width), (kernel.shape[2], kernel.shape[3]), node.op.stride):
            padding = model.schema.Padding.SAME
        else:
            source = _padded(node, source, x, node.op.padding, model)
    options = {
        "padding": padding,
        "strideH": node.op.stride[0],
        "strideW": node.op.stride[1],
        "dilationHFactor": 1,
        "dilationWFactor": 1,
        "fusedActivationFunction": _activation(node, model),
    }
    version = 3 if x in model.params else 1
    target, bias_index = model.activation(node.output), model.bias(bias, x, weight)
    if depthwise:
        options["depthMultiplier"] = kernel.shape[0] // channels
        values = model.weight(weight, kernel.transpose(1, 2, 3, 0), 3)  # [1, kH, kW, O]
        model.operator("DEPTHWISE_CONV_2D", version, [source, values, bias_index], target, ("DepthwiseConv2DOptions", options))
    else:
        values = model.weight(weight, kernel.transpose(0, 2, 3, 1), 0)  # [O, kH, kW, I]
        model.operator("CONV_2D", version, [source, values, bias_index], target, ("Conv2DOptions", options))


@OPERATORS.implements(Linear)
def _linear(node: Node, model: TfliteBuilder) -> None:
    x, weight, bias = node.inputs
    version = 12 if x in model.params and model.params[weight].scale.size > 1 else 4 if x in model.params else 1
    inputs = [model.activation(x), model.weight(weight, model.graph.constants[weight], 0), model.bias(bias, x, weight)]
    options = {"fusedActivationFunction": _activation(node, model)}
    model.operator("FULLY_CONNECTED", version, inputs, model.activation(node.output), ("FullyConnectedOptions", options))


@OPERATORS.implements(Add)
def _add(node: Node, model: TfliteBuilder) -> None:
    _elementwise(node, model, "ADD", "AddOptions")


@OPERATORS.implements(Mul)
def _mul(node: Node, model: TfliteBuilder) -> None:
    _elementwise(node, model, "MUL", "MulOptions")


def _elementwise(node: Node, model: TfliteBuilder, builtin: str, table: str) -> None:
    a, b = node.inputs
    inputs = [model.activation(a), model.operand(b) if b in model.graph.constants else model.activation(b)]
    options = {"fusedActivationFunction": _activation(node, model)}
    model.operator(builtin, 2 if a in model.params else 1, inputs, model.activation(node.output), (table, options))


@OPERATORS.implements(Mean)
def _mean(node: Node, model: TfliteBuilder) -> None:
    assert isinstance(node.op, Mean)
    inputs = [model.activation(node.inputs[0]), model.integers(f"{node.name}.axes", [1, 2])]
    version = 2 if node.inputs[0] in model.params else 1
    model.operator("MEAN", version, inputs, model.activation(node.output), ("ReducerOptions", {"keepDims": node.op.keep_dims}))


@OPERATORS.implements(Pad)
def _pad(node: Node, model: TfliteBuilder) -> None:
    assert isinstance(node.op, Pad)
    x = node.inputs[0]
    _pad_operator(node, model.activation(x), model.activation(node.output), node.op.padding, x in model.params, model)


@OPERATORS.implements(Flatten)
def _flatten(node: Node, model: TfliteBuilder) -> None:
    shape = nhwc(model.graph.tensors[node.output])
    inputs = [model.activation(node.inputs[0]), model.integers(f"{node.name}.shape", shape)]
    model.operator("RESHAPE", 1, inputs, model.activation(node.output), ("ReshapeOptions", {"newShape": list(shape)}))


@OPERATORS.implements(HardSwish)
def _hard_swish(node: Node, model: TfliteBuilder) -> None:
    model.operator("HARD_SWISH", 1, [model.activation(node.inputs[0])], model.activation(node.output))


def _padded(node: Node, source: int, name: str, padding: Padding, model: TfliteBuilder) -> int:
    """The input of a convolution whose padding is neither SAME nor VALID, padded by an operator of its own."""
    _, height, width, channels = nhwc(model.graph.tensors[name])
    shape = (1, height + padding.top + padding.bottom, width + padding.left + padding.right, channels)
    params = model.params.get(name)
    padded = model.tensor(f"{node.name}.padded", shape, "float32" if params is None else "int8", params)
    _pad_operator(node, source, padded, padding, params is not None, model)
    return padded


def _pad_operator(  # noqa: PLR0913 - a PAD has this many parts
    node: Node, source: int, target: int, padding: Padding, quantized: bool, model: TfliteBuilder  # noqa: FBT001
) -> None:
    rows = [[0, 0], [padding.top, padding.bottom], [padding.left, padding.right], [0, 0]]
    model.operator("PAD", 2 if quantized else 1, [source, model.integers(f"{node.name}.paddings", rows)], target, ("PadOptions", {}))
