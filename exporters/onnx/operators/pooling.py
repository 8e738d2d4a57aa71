"""Means and other pooling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.exporters.onnx.operators.table import OPERATORS
from edgekit.exporters.onnx.operators.writing import emit, move
from edgekit.ir import AveragePool2d, Mean

if TYPE_CHECKING:
    from edgekit.exporters.onnx.builder import OnnxBuilder
    from edgekit.ir import Node


@OPERATORS.implements(Mean)
def _mean(op: Mean, node: Node, model: OnnxBuilder) -> None:
    if op.keep_dims:
        emit(node, model, "GlobalAveragePool", [model.operand(node.operand("x"))])
        return
    # The mean is quantized before it is flattened, so that runtimes fuse pooling into one integer kernel.
    mean = model.node("GlobalAveragePool", [model.operand(node.operand("x"))], f"{node.output}.pooled")
    if node.output in model.params:
        mean = model.quantize(node.output, mean, f"{mean}.quantized")
    move(node, model, "Flatten", [mean], axis=1)


@OPERATORS.implements(AveragePool2d)
def _average_pool2d(op: AveragePool2d, node: Node, model: OnnxBuilder) -> None:
    p = op.padding
    emit(
        node, model, "AveragePool", [model.operand(node.operand("x"))], kernel_shape=op.kernel, strides=op.stride,
        pads=[p.top, p.left, p.bottom, p.right], count_include_pad=1,
    )  # fmt: skip
