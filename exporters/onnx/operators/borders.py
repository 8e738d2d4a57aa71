"""Where reals become integers and integers reals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.exporters.onnx.operators.table import OPERATORS
from edgekit.ir import (
    Dequantize,
    Op,
    Quantize,
    Requantize,
)

if TYPE_CHECKING:
    from edgekit.exporters.onnx.builder import OnnxBuilder
    from edgekit.ir import Node


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
