"""What moves values and computes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.exporters.torch import script
from edgekit.exporters.torch.operators.table import FLOAT, INTEGER
from edgekit.ir import (
    Concat,
    Pad,
    Part,
    Rearrange,
    Slice,
)

if TYPE_CHECKING:
    from edgekit.exporters.torch.writers import FloatWriter, IntegerWriter
    from edgekit.ir import Node
    from edgekit.ir.operators.operator import Shape


@FLOAT.implements(Pad)
def _pad(op: Pad, node: Node, writer: FloatWriter) -> str:
    return script.padded(writer.operand(node.operand("x")), op.padding, op.channels_around)


@INTEGER.implements(Pad)
def _pad_stored(op: Pad, node: Node, writer: IntegerWriter) -> str:
    x = node.operand("x")
    if not any(op.channels_around):
        return writer.padded(x, op.padding)
    return script.padded(writer.operand(x), op.padding, op.channels_around)


@FLOAT.implements(Rearrange)
def _rearrange(op: Rearrange, node: Node, writer: FloatWriter) -> str:
    x = node.operand("x")
    return _rearranged(op, writer.operand(x), writer.graph.tensors[x].shape)


@INTEGER.implements(Rearrange)
def _rearrange_stored(op: Rearrange, node: Node, writer: IntegerWriter) -> str:
    """The same for integers, which have one scale a tensor."""
    x = node.operand("x")
    return _rearranged(op, writer.operand(x), writer.model.graph.tensors[x].shape)


def _rearranged(op: Rearrange, x: str, shape: Shape) -> str:
    for step in op.steps(shape):
        if step.order:
            x = f"torch.permute({x}, {list(step.permutation)})"
        elif len(step.shape) == 1:
            x = f"torch.flatten({x}, 1)"
        else:
            x = f"torch.reshape({x}, {list(step.of(-1))})"
    return x


@FLOAT.implements(Concat)
def _concat(op: Concat, node: Node, writer: FloatWriter) -> str:
    return f"torch.cat([{', '.join(map(writer.operand, node.operands('xs')))}], {1 + op.axis})"


@INTEGER.implements(Concat)
def _concat_stored(op: Concat, node: Node, writer: IntegerWriter) -> str:
    """Tensors of one scale keep their integers (cat_quantized_cpu in ATen/native/quantized/cpu/TensorShape.cpp)."""
    return f"torch.cat([{', '.join(map(writer.operand, node.operands('xs')))}], {1 + op.axis})"


@FLOAT.implements(Slice)
def _slice(op: Slice, node: Node, writer: FloatWriter) -> str:
    x = node.operand("x")
    return _sliced(op, writer.operand(x), writer.graph.tensors[x].shape)


@INTEGER.implements(Slice)
def _slice_stored(op: Slice, node: Node, writer: IntegerWriter) -> str:
    """The same for integers, which have one scale a tensor."""
    x = node.operand("x")
    return _sliced(op, writer.operand(x), writer.model.graph.tensors[x].shape)


def _sliced(op: Slice, x: str, shape: Shape) -> str:
    for axis, (part, size) in enumerate(zip(op.parts, shape, strict=True), start=1):
        if part != Part(0, size):
            x = f"torch.ops.aten.slice({x}, {axis}, {part.start}, {part.stop}, {part.step})"
    return x
