"""Layers with weights, and batch normalization."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.exporters.onnx.operators.dynamic import emit_dynamic
from edgekit.exporters.onnx.operators.table import OPERATORS
from edgekit.exporters.onnx.operators.writing import emit
from edgekit.ir import (
    Conv2d,
    Linear,
)

if TYPE_CHECKING:
    from edgekit.exporters.onnx.builder import OnnxBuilder
    from edgekit.ir import Node

# ONNX Runtime's direct int8 convolution for x86 takes channels by fours (MlasConvSymPackWSize and its dispatch tables,
# onnxruntime/core/mlas/lib/convsym.cpp). Else pixels are gathered first: more than half of a first layer's time.
_CHANNELS_TOGETHER = 4


@OPERATORS.implements(Conv2d)
def _conv2d(op: Conv2d, node: Node, model: OnnxBuilder) -> None:
    x, weight, bias = node.read("x", "weight", "bias")
    p, shape = op.padding, model.graph.constants[weight].shape[2:]
    attributes: dict[str, object] = {} if op.dilation == (1, 1) else {"dilations": op.dilation}
    attributes |= {"kernel_shape": shape, "strides": op.stride, "pads": [p.top, p.left, p.bottom, p.right]}
    attributes |= {"group": op.groups}
    if weight in model.dynamic:
        emit_dynamic(node, model, "ConvInteger", **attributes)
        return
    more = _missing_channels(op, node, model)
    source = _with_more_channels(x, more, model) if more else model.operand(x)
    inputs = [source, model.weight(weight, more_channels=more), model.bias(bias, x, weight)]
    emit(node, model, "Conv", inputs, **attributes)


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
    if weight in model.dynamic:
        emit_dynamic(node, model, "MatMulInteger")
        return
    emit(node, model, "Gemm", [model.operand(x), model.weight(weight), model.bias(bias, x, weight)], transB=1)
