"""Layers with weights, and batch normalization."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.exporters.tflite.operators.movement import padded, reshape
from edgekit.exporters.tflite.operators.table import OPERATORS
from edgekit.exporters.tflite.operators.writing import code_of, emit
from edgekit.ir import (
    Conv2d,
    Linear,
    Padding,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edgekit.exporters.tflite.builder import TfliteBuilder
    from edgekit.ir import Node


@OPERATORS.implements(Conv2d)
def _conv2d(op: Conv2d, node: Node, model: TfliteBuilder) -> None:
    x, weight, bias = node.read("x", "weight", "bias")
    source, target = model.activation(x), model.activation(node.output)
    kernel = model.graph.constants[weight]  # [O, I / groups, kH, kW]
    channels, height, width = model.graph.tensors[x].shape
    stride_h, stride_w = op.stride
    options = {"padding": model.schema.Padding.VALID, "strideH": stride_h, "strideW": stride_w}
    options |= {"dilationHFactor": op.dilation[0], "dilationWFactor": op.dilation[1]}
    if op.padding == Padding.same((height, width), op.window.reach(kernel.shape[2:]), op.stride):
        options["padding"] = model.schema.Padding.SAME
    elif op.padding:  # TFLite's convolutions have no other
        source = padded(node, source, op.padding, model)
    if op.groups == channels > 1:
        inputs = [source, model.weight(weight, kernel.transpose(1, 2, 3, 0), 3), model.bias(bias, x, weight)]
        options["depthMultiplier"] = len(kernel) // channels
        code = code_of("DEPTHWISE_CONV_2D", x, model, 1 if op.dilation == (1, 1) else 2, 3, 5)
        emit(node, model, code, inputs, target, ("DepthwiseConv2DOptions", options))
    else:  # the filter's channels tell how many groups there are
        _convolution(node, source, kernel.transpose(0, 2, 3, 1), target, options, model)


@OPERATORS.implements(Linear)
def _linear(_: Linear, node: Node, model: TfliteBuilder) -> None:
    x, weight, bias = node.read("x", "weight", "bias")
    source, target = model.activation(x), model.activation(node.output)
    values = model.graph.constants[weight]  # [O, I]
    if weight in model.params and model.params[weight].scale.size > 1:
        # FULLY_CONNECTED learned of a scale an output channel without a new version: older runtimes load such a file
        # and answer nonsense (tflite-runtime 2.7 and 2.8; 2.10 is right), and XNNPACK took it up later still (not in
        # 2.12). As a 1x1 convolution the layer is right in all of them, in one XNNPACK piece, and as fast.
        out_features, in_features = values.shape
        dtype = model.dtype(x)
        pixel = model.tensor(f"{node.name}.pixel", (model.batch, 1, 1, in_features), dtype, model.params[x])
        result = model.tensor(
            f"{node.name}.result", (model.batch, 1, 1, out_features), dtype, model.params[node.output]
        )
        reshape(f"{node.name}.to_pixel", source, pixel, (1, 1, in_features), model)
        options = {"padding": model.schema.Padding.VALID, "strideH": 1, "strideW": 1}
        _convolution(node, pixel, values[:, None, None, :], result, options, model)
        reshape(f"{node.name}.from_pixel", result, target, (out_features,), model)
        return
    inputs = [source, model.weight(weight, values, 0), model.bias(bias, x, weight)]
    code = code_of("FULLY_CONNECTED", x, model, 12 if weight in model.dynamic else 1, 4, 7)
    emit(node, model, code, inputs, target, ("FullyConnectedOptions", {}))


def _convolution(  # noqa: PLR0913, PLR0917 - a CONV_2D has this many parts
    node: Node, source: int, kernel: NDArray[Any], target: int, options: Mapping[str, int], model: TfliteBuilder
) -> None:
    """CONV_2D with the weight, bias and clamp of ``node``; ``kernel`` is the weight as [O, kH, kW, I]."""
    x, weight, bias = node.read("x", "weight", "bias")
    inputs = [source, model.weight(weight, kernel, 0), model.bias(bias, x, weight)]
    code = code_of("CONV_2D", x, model, 5 if weight in model.dynamic else 1, 3, 4)
    emit(node, model, code, inputs, target, ("Conv2DOptions", options))
