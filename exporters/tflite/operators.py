"""One function an operator: a Node of the canonical graph, written as TFLite operators.

The same functions serve float and integer models: a tensor is int8 where the builder has parameters for it. In an
integer model a fused clamp is nothing but the output's range, so the fused activation is always NONE.
Versions are those of tflite/tools/versioning/op_version.cc.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from edgekit.errors import UnsupportedOperator
from edgekit.exporters.tflite.builder import nhwc
from edgekit.ir import Add, Conv2d, Flatten, HardSwish, Linear, Mean, Mul, Pad, Padding
from edgekit.ir.registry import OperatorTable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from edgekit.exporters.tflite.builder import TfliteBuilder
    from edgekit.ir import Node

OPERATORS: OperatorTable[Callable[[Node, TfliteBuilder], None]] = OperatorTable("TFLite")


@OPERATORS.implements(Conv2d)
def _conv2d(node: Node, model: TfliteBuilder) -> None:
    assert isinstance(node.op, Conv2d)
    x, weight, bias = node.inputs
    source, target = model.activation(x), model.activation(node.output)
    kernel = model.graph.constants[weight]  # [O, I / groups, kH, kW]
    channels, height, width = model.graph.tensors[x].shape
    stride_h, stride_w = node.op.stride
    options = {"padding": model.schema.Padding.VALID, "strideH": stride_h, "strideW": stride_w}
    if node.op.padding == Padding.same((height, width), (kernel.shape[2], kernel.shape[3]), node.op.stride):
        options["padding"] = model.schema.Padding.SAME
    elif node.op.padding:  # TFLite's convolutions have no other
        source = _padded(node, source, node.op.padding, model)
    if node.op.groups == 1:
        _convolution(node, source, kernel.transpose(0, 2, 3, 1), target, options, model)
    elif node.op.groups == channels:
        inputs = [source, model.weight(weight, kernel.transpose(1, 2, 3, 0), 3), model.bias(bias, x, weight)]
        options |= {"depthMultiplier": len(kernel) // channels, "fusedActivationFunction": _activation(node, model)}
        version = 3 if x in model.params else 1
        model.operator("DEPTHWISE_CONV_2D", version, inputs, target, ("DepthwiseConv2DOptions", options))
    else:
        raise UnsupportedOperator(
            f"TFLite has no grouped convolution (layer {node.name!r}): replace the layer, or export to another format"
        )


@OPERATORS.implements(Linear)
def _linear(node: Node, model: TfliteBuilder) -> None:
    x, weight, bias = node.inputs
    source, target = model.activation(x), model.activation(node.output)
    values = model.graph.constants[weight]  # [O, I]
    if weight in model.params and model.params[weight].scale.size > 1:
        # FULLY_CONNECTED learned of a scale an output channel without a new version: older runtimes load such a file
        # and answer nonsense (tflite-runtime 2.7 and 2.8; 2.10 is right), and XNNPACK took it up later still (not in
        # 2.12). As a 1x1 convolution the layer is right in all of them, in one XNNPACK piece, and as fast.
        out_features, in_features = values.shape
        pixel = model.tensor(f"{node.name}.pixel", (1, 1, 1, in_features), "int8", model.params[x])
        result = model.tensor(f"{node.name}.result", (1, 1, 1, out_features), "int8", model.params[node.output])
        _reshape(f"{node.name}.to_pixel", source, pixel, (1, 1, 1, in_features), model)
        options = {"padding": model.schema.Padding.VALID, "strideH": 1, "strideW": 1}
        _convolution(node, pixel, values[:, None, None, :], result, options, model)
        _reshape(f"{node.name}.from_pixel", result, target, (1, out_features), model)
        return
    inputs = [source, model.weight(weight, values, 0), model.bias(bias, x, weight)]
    options = {"fusedActivationFunction": _activation(node, model)}
    version = 4 if x in model.params else 1
    model.operator("FULLY_CONNECTED", version, inputs, target, ("FullyConnectedOptions", options))


@OPERATORS.implements(Add)
def _add(node: Node, model: TfliteBuilder) -> None:
    inputs = [model.operand(name) for name in node.inputs]
    options = {"fusedActivationFunction": _activation(node, model)}
    version = 2 if node.output in model.params else 1
    model.operator("ADD", version, inputs, model.activation(node.output), ("AddOptions", options))


@OPERATORS.implements(Mul)
def _mul(node: Node, model: TfliteBuilder) -> None:
    inputs = [model.operand(name) for name in node.inputs]
    options = {"fusedActivationFunction": _activation(node, model)}
    version = 1
    if node.output in model.params:
        a, b, out = (model.params[name].scale[0] for name in (*node.inputs, node.output))
        version = 3 if a * b / out >= 1 else 2
    model.operator("MUL", version, inputs, model.activation(node.output), ("MulOptions", options))


@OPERATORS.implements(Mean)
def _mean(node: Node, model: TfliteBuilder) -> None:
    assert isinstance(node.op, Mean)
    inputs = [model.activation(node.inputs[0]), model.integers(f"{node.name}.axes", [1, 2])]
    options = {"keepDims": node.op.keep_dims}
    version = 2 if node.output in model.params else 1
    model.operator("MEAN", version, inputs, model.activation(node.output), ("ReducerOptions", options))


@OPERATORS.implements(Pad)
def _pad(node: Node, model: TfliteBuilder) -> None:
    assert isinstance(node.op, Pad)
    _pad_operator(node, model.activation(node.inputs[0]), model.activation(node.output), node.op.padding, model)


@OPERATORS.implements(Flatten)
def _flatten(node: Node, model: TfliteBuilder) -> None:
    x = node.inputs[0]
    assert model.graph.tensors[x].shape[1:] == (1, 1), "in NHWC the values of a feature map would come in another order"
    source, target = model.activation(x), model.activation(node.output)
    _reshape(f"{node.name}.shape", source, target, nhwc(model.graph.tensors[node.output]), model)


@OPERATORS.implements(HardSwish)
def _hard_swish(node: Node, model: TfliteBuilder) -> None:
    model.operator("HARD_SWISH", 1, [model.activation(node.inputs[0])], model.activation(node.output))


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
            raise UnsupportedOperator(
                f"TFLite cannot fuse a clamp to {bounds} (layer {node.name!r}): use ReLU or ReLU6, or export to another"
                " format"
            )


def _convolution(  # noqa: PLR0913, PLR0917 - a CONV_2D has this many parts
    node: Node, source: int, kernel: NDArray[Any], target: int, options: Mapping[str, int], model: TfliteBuilder
) -> None:
    """CONV_2D with the weight, bias and clamp of ``node``; ``kernel`` is the weight as [O, kH, kW, I]."""
    x, weight, bias = node.inputs
    inputs = [source, model.weight(weight, kernel, 0), model.bias(bias, x, weight)]
    options = {**options, "fusedActivationFunction": _activation(node, model)}
    model.operator("CONV_2D", 3 if x in model.params else 1, inputs, target, ("Conv2DOptions", options))


def _padded(node: Node, source: int, padding: Padding, model: TfliteBuilder) -> int:
    """The input of a convolution whose padding is neither SAME nor VALID, padded by an operator of its own."""
    x = node.inputs[0]
    _, height, width, channels = nhwc(model.graph.tensors[x])
    shape = (1, height + padding.top + padding.bottom, width + padding.left + padding.right, channels)
    params = model.params.get(x)
    padded = model.tensor(f"{node.name}.padded", shape, "float32" if params is None else "int8", params)
    _pad_operator(node, source, padded, padding, model)
    return padded


def _pad_operator(node: Node, source: int, target: int, padding: Padding, model: TfliteBuilder) -> None:
    """PAD with real zeros; in an integer model those are the zero point, which the kernels see to."""
    rows = [[0, 0], [padding.top, padding.bottom], [padding.left, padding.right], [0, 0]]
    inputs = [source, model.integers(f"{node.name}.paddings", rows)]
    model.operator("PAD", 2 if node.output in model.params else 1, inputs, target, ("PadOptions", {}))


def _reshape(name: str, source: int, target: int, shape: tuple[int, ...], model: TfliteBuilder) -> None:
    """RESHAPE, with ``name`` for the tensor that holds the new shape."""
    inputs = [source, model.integers(name, shape)]
    model.operator("RESHAPE", 1, inputs, target, ("ReshapeOptions", {"newShape": list(shape)}))
