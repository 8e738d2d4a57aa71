"""One function an operator: a Node of the canonical graph, written as ONNX nodes.

The same functions serve float and integer models: every result is written under its raw name, and the builder quantizes
it where there are parameters. The fused clamp of an int8 layer is nothing but the output's range.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from edgekit.ir import (
    Add,
    Clamp,
    Concat,
    Conv2d,
    Dequantize,
    Flatten,
    HardSwish,
    Linear,
    Mean,
    Mul,
    Op,
    Pad,
    Quantize,
    Requantize,
)
from edgekit.ir.operators.clamp import UNFUSED
from edgekit.ir.registry import OperatorTable, canonical

if TYPE_CHECKING:
    from edgekit.exporters.onnx.builder import OnnxBuilder
    from edgekit.ir import Node

OPERATORS: OperatorTable[[Node, OnnxBuilder], None] = OperatorTable("ONNX", canonical)

_HARD_SWISH_SINCE = 14  # https://onnx.ai/onnx/operators/onnx__HardSwish.html
# ONNX Runtime's direct int8 convolution for x86 takes channels by fours (MlasConvSymPackWSize and its dispatch tables,
# onnxruntime/core/mlas/lib/convsym.cpp). Else pixels are gathered first: more than half of a first layer's time.
_CHANNELS_TOGETHER = 4


@OPERATORS.implements(Conv2d)
def _conv2d(op: Conv2d, node: Node, model: OnnxBuilder) -> None:
    x, weight, bias = node.read("x", "weight", "bias")
    p = op.padding
    dilations = {} if op.dilation == (1, 1) else {"dilations": op.dilation}
    more = _missing_channels(op, node, model)
    source = _with_more_channels(x, more, model) if more else model.operand(x)
    _emit(
        node, model, "Conv", [source, model.weight(weight, more_channels=more), model.bias(bias, x, weight)],
        kernel_shape=model.graph.constants[weight].shape[2:], strides=op.stride,
        pads=[p.top, p.left, p.bottom, p.right], group=op.groups, **dilations,
    )  # fmt: skip


def _missing_channels(op: Conv2d, node: Node, model: OnnxBuilder) -> int:
    """How many input channels an int8 convolution of an image lacks for the fast kernel."""
    x, weight = node.read("x", "weight")
    is_image = x == model.graph.input and len(model.graph.consumers(x)) == 1
    if not is_image or weight not in model.params or model.params[x].bits != 8 or op.groups != 1:
        return 0
    return -model.graph.tensors[x].shape[0] % _CHANNELS_TOGETHER


def _with_more_channels(x: str, more: int, model: OnnxBuilder) -> str:
    """An image with its last channel ``more`` times again, for weights that are zero there; the name of its reals.

    Runtimes drop the conversions around Gather and copy integers; around Pad they do not.
    """
    channels = model.graph.tensors[x].shape[0]
    order = model.array(f"{x}.channels", np.minimum(np.arange(channels + more), channels - 1))
    model.node("Gather", [model.operand(x), order], f"{x}.aligned.real", axis=1)
    stored = model.quantize(x, f"{x}.aligned.real", f"{x}.aligned.quantized")
    return model.node("DequantizeLinear", [stored, *model.parameters(x)], f"{x}.aligned")


@OPERATORS.implements(Linear)
def _linear(_: Linear, node: Node, model: OnnxBuilder) -> None:
    x, weight, bias = node.read("x", "weight", "bias")
    _emit(node, model, "Gemm", [model.operand(x), model.weight(weight), model.bias(bias, x, weight)], transB=1)


@OPERATORS.implements(Add)
def _add(_: Add, node: Node, model: OnnxBuilder) -> None:
    _emit(node, model, "Add", [model.operand(name) for name in node.inputs])


@OPERATORS.implements(Mul)
def _mul(_: Mul, node: Node, model: OnnxBuilder) -> None:
    _emit(node, model, "Mul", [model.operand(name) for name in node.inputs])


@OPERATORS.implements(Mean)
def _mean(op: Mean, node: Node, model: OnnxBuilder) -> None:
    if op.keep_dims:
        _emit(node, model, "GlobalAveragePool", [model.operand(node.operand("x"))])
        return
    # The mean is quantized before it is flattened, so that runtimes fuse pooling into one integer kernel.
    mean = model.node("GlobalAveragePool", [model.operand(node.operand("x"))], f"{node.output}.pooled")
    if node.output in model.params:
        mean = model.quantize(node.output, mean, f"{mean}.quantized")
    _move(node, model, "Flatten", [mean], axis=1)


@OPERATORS.implements(Pad)
def _pad(op: Pad, node: Node, model: OnnxBuilder) -> None:
    x, p = node.operand("x"), op.padding
    widths = model.array(f"{node.output}.widths", np.array([0, 0, p.top, p.left, 0, 0, p.bottom, p.right], np.int64))
    if model.moves_stored(node):
        _move(node, model, "Pad", [model.held(x), widths, model.zero_point(x)])
    else:
        _emit(node, model, "Pad", [model.operand(x), widths])


@OPERATORS.implements(Flatten)
def _flatten(_: Flatten, node: Node, model: OnnxBuilder) -> None:
    if model.moves_stored(node):
        _move(node, model, "Flatten", [model.held(node.operand("x"))], axis=1)
    else:
        _emit(node, model, "Flatten", [model.operand(node.operand("x"))], axis=1)


@OPERATORS.implements(Concat)
def _concat(_: Concat, node: Node, model: OnnxBuilder) -> None:
    if model.moves_stored(node):
        _move(node, model, "Concat", [model.held(x) for x in node.operands("xs")], axis=1)
    else:
        _emit(node, model, "Concat", [model.operand(x) for x in node.operands("xs")], axis=1)


@OPERATORS.implements(HardSwish)
def _hard_swish(_: HardSwish, node: Node, model: OnnxBuilder) -> None:
    x = model.operand(node.operand("x"))
    if model.version.opset >= _HARD_SWISH_SINCE:
        _emit(node, model, "HardSwish", [x])
        return
    gate = model.node("HardSigmoid", [x], f"{node.output}.gate", alpha=1 / 6, beta=0.5)
    _emit(node, model, "Mul", [x, gate])


OPERATORS.refuses(Clamp, UNFUSED)


@OPERATORS.implements(Quantize, Requantize)
def _quantize(_: Op, node: Node, model: OnnxBuilder) -> None:
    """Of reals, or of those that stored integers of another width stand for."""
    model.quantize(node.output, model.values[node.operand("x")], model.stored[node.output])
    model.restore(node.output)


@OPERATORS.implements(Dequantize)
def _dequantize(_: Dequantize, node: Node, model: OnnxBuilder) -> None:
    """Steps of scale 1, times the scale: the same product, but nothing that a runtime takes for part of an int8 layer.

    ONNX Runtime quantizes the weights of a float convolution between DequantizeLinear and QuantizeLinear itself, with
    one scale for all channels (core/optimizer/qdq_transformer/weight_bias_quantization.cc), and takes a sum or product
    there for an integer one. Nothing of the layer would be kept.
    """
    x = node.operand("x")
    unit = model.array(f"{x}.unit_scale", np.array(1, np.float32))
    steps = model.node("DequantizeLinear", [model.stored[x], unit, model.zero_point(x)], f"{node.output}.steps")
    model.node("Mul", [steps, model.parameters(x)[0]], model.values[node.output])


def _emit(node: Node, model: OnnxBuilder, op_type: str, inputs: list[str], **attributes: object) -> None:
    """Write the node that computes ``node``, its fused clamp, and the quantization of its result."""
    raw = model.raw(node.output)
    if node.activation is None:
        model.node(op_type, inputs, raw, **attributes)
    else:
        inner = model.node(op_type, inputs, f"{node.output}.unclamped", **attributes)
        _clamp(node, model, inner, raw)
    model.finish_activation(node.output)


def _clamp(node: Node, model: OnnxBuilder, source: str, target: str) -> None:
    """The fused clamp of ``node``."""
    assert node.activation is not None
    low, high = node.activation.low, node.activation.high
    if (low, high) == (0.0, math.inf):
        model.node("Relu", [source], target)
        return
    bounds = {"low": low} if high == math.inf else {"low": low, "high": high}
    arrays = [model.array(f"{node.output}.{end}", np.array(bound, model.dtype)) for end, bound in bounds.items()]
    model.node("Clip", [source, *arrays], target)


def _move(node: Node, model: OnnxBuilder, op_type: str, inputs: list[str], **attributes: object) -> None:
    """Write a node that moves values as the file holds them."""
    model.node(op_type, inputs, model.held(node.output), **attributes)
    model.restore(node.output)
