"""Means and other pooling."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.exporters.torch import script
from edgekit.exporters.torch.operators.table import FLOAT, INTEGER
from edgekit.ir import AveragePool2d, MaxPool2d, Mean
from edgekit.ir.operators.average_pool2d import LOWERED

if TYPE_CHECKING:
    from edgekit.exporters.torch.writers import FloatWriter, IntegerWriter
    from edgekit.ir import Node

_LOWEST = float(np.finfo(np.float32).min)


@FLOAT.implements(Mean)
def _mean(op: Mean, node: Node, writer: FloatWriter) -> str:
    x = writer.operand(node.operand("x"))
    return f"torch.mean({x}, [2, 3], {op.keep_dims})"


@INTEGER.implements(Mean)
def _mean_stored(op: Mean, node: Node, writer: IntegerWriter) -> str:
    x = node.operand("x")
    _, height, width = writer.model.graph.tensors[x].shape
    summands = height * width
    return writer.program.call(
        "mean", writer.operand(x), op.keep_dims, writer.zero_point(x) * summands, writer.scale(x) / summands,
        writer.scale(node.output), writer.zero_point(node.output),
    )  # fmt: skip


@FLOAT.implements(AveragePool2d)
def _average_pool2d(op: AveragePool2d, node: Node, writer: FloatWriter) -> str:
    x, padding = writer.operand(node.operand("x")), script.symmetric(op.padding)
    if padding is None or any(2 * side > size for side, size in zip(padding, op.kernel, strict=True)):
        x, padding = script.padded(x, op.padding), (0, 0)
    return f"torch.ops.aten.avg_pool2d({x}, {list(op.kernel)}, {list(op.stride)}, {list(padding)}, False, True)"


INTEGER.refuses(AveragePool2d, LOWERED)


@FLOAT.implements(MaxPool2d)
def _max_pool2d(op: MaxPool2d, node: Node, writer: FloatWriter) -> str:
    return _pooled(op, writer.operand(node.operand("x")))


@INTEGER.implements(MaxPool2d)
def _max_pool2d_stored(op: MaxPool2d, node: Node, writer: IntegerWriter) -> str:
    """Of integers: quantized_max_pool2d in aten/src/ATen/native/quantized/cpu/Pooling.cpp, and that of QNNPACK."""
    return _pooled(op, writer.operand(node.operand("x")))


def _pooled(op: MaxPool2d, x: str) -> str:
    """Torch pads both sides alike, by half a window at most; the lowest number saturates in a quantized tensor."""
    p, padding = op.padding, (0, 0)
    if (p.top, p.left) == (p.bottom, p.right) and 2 * p.top <= op.kernel[0] and 2 * p.left <= op.kernel[1]:
        padding = (p.top, p.left)
    elif p:
        x = f"torch.constant_pad_nd({x}, [{p.left}, {p.right}, {p.top}, {p.bottom}], {_LOWEST!r})"
    return f"torch.max_pool2d({x}, {list(op.kernel)}, {list(op.stride)}, {list(padding)}, {list(op.dilation)})"
