"""Layers that quantize what they read: a tensor's range, of all its images together, is found when it is there.

Weights are stored as uint8 with zero point 128, which are the same reals: without VNNI, ONNX Runtime takes three times
as long for a ConvInteger with int8 weights (1.31, 1 x 1 convolutions on AVX2). The scale of each output channel is
multiplied in behind, because ConvInteger takes one zero point alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto

from edgekit.exporters.onnx.operators.writing import emit

if TYPE_CHECKING:
    from edgekit.exporters.onnx.builder import OnnxBuilder
    from edgekit.ir import Node

_ZERO_POINT = 128


def emit_dynamic(node: Node, model: OnnxBuilder, op_type: str, **attributes: object) -> None:
    """Write a layer whose weight stands in ``OnnxBuilder.dynamic``, with its clamp.

    Args:
        node: a Conv2d or a Linear, which reads [N, C, H, W] or [N, C].
        model: what it is written into.
        op_type: ConvInteger or MatMulInteger.
        attributes: of it.
    """
    x, weight, bias = node.read("x", "weight", "bias")
    channels = (1, -1) if op_type == "MatMulInteger" else (1, -1, 1, 1)
    grid, name = model.grids[weight], node.output
    integers = (grid.quantize(model.graph.constants[weight]).astype(np.int16) + _ZERO_POINT).astype(np.uint8)
    stored = integers.T if op_type == "MatMulInteger" else integers
    source, scale, zero_point = _quantized(x, model)
    read = [source, model.array(f"{weight}.stored", stored), zero_point]
    read.append(model.array("weights.zero_point", np.array(_ZERO_POINT, np.uint8)))
    sums = model.node(
        "Cast", [model.node(op_type, read, f"{name}.integers", **attributes)], f"{name}.sums", to=TensorProto.FLOAT
    )
    scales = model.array(f"{weight}.scale", grid.scale.reshape(channels))
    reals = model.node("Mul", [sums, model.node("Mul", [scale, scales], f"{name}.scales")], f"{name}.products")
    emit(node, model, "Add", [reals, model.array(bias, model.graph.constants[bias].reshape(channels))])


def _quantized(tensor: str, model: OnnxBuilder) -> tuple[str, str, str]:
    """The integers of a tensor, their scale and zero point; written once for all that read them."""
    made = (f"{tensor}.dynamic", f"{tensor}.dynamic_scale", f"{tensor}.dynamic_zero_point")
    if not any(made[0] in node.output for node in model.nodes):
        model.node("DynamicQuantizeLinear", [model.operand(tensor)], *made)
    return made
