"""Means and other pooling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.exporters.onnx.operators.table import OPERATORS
from edgekit.exporters.onnx.operators.writing import emit, move
from edgekit.ir import AveragePool2d, MaxPool2d, Mean

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


@OPERATORS.implements(MaxPool2d)
def _max_pool2d(op: MaxPool2d, node: Node, model: OnnxBuilder) -> None:
    """Of stored integers it is one since opset 12: https://onnx.ai/onnx/operators/onnx__MaxPool.html."""
    x, p = node.operand("x"), op.padding
    write, value = (move, model.held(x)) if model.moves_stored(node) else (emit, model.operand(x))
    dilations = {} if op.dilation == (1, 1) else {"dilations": op.dilation}
    pads = [p.top, p.left, p.bottom, p.right]
    write(node, model, "MaxPool", [value], kernel_shape=op.kernel, strides=op.stride, pads=pads, **dilations)
