"""What moves values and computes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.exporters.torch import script
from edgekit.exporters.torch.operators.table import FLOAT, INTEGER
from edgekit.ir import (
    Concat,
    Flatten,
    Pad,
)

if TYPE_CHECKING:
    from edgekit.exporters.torch.writers import FloatWriter, IntegerWriter
    from edgekit.ir import Node


@FLOAT.implements(Pad)
def _pad(op: Pad, node: Node, writer: FloatWriter) -> str:
    return script.padded(writer.operand(node.operand("x")), op.padding)


@INTEGER.implements(Pad)
def _pad_stored(op: Pad, node: Node, writer: IntegerWriter) -> str:
    return writer.padded(node.operand("x"), op.padding)


@FLOAT.implements(Flatten)
def _flatten(_: Flatten, node: Node, writer: FloatWriter) -> str:
    x = writer.operand(node.operand("x"))
    return f"torch.flatten({x}, 1)"


@INTEGER.implements(Flatten)
def _flatten_stored(_: Flatten, node: Node, writer: IntegerWriter) -> str:
    x = writer.operand(node.operand("x"))
    return f"torch.flatten({x}, 1)"


@FLOAT.implements(Concat)
def _concat(_: Concat, node: Node, writer: FloatWriter) -> str:
    return f"torch.cat([{', '.join(map(writer.operand, node.operands('xs')))}], 1)"


@INTEGER.implements(Concat)
def _concat_stored(_: Concat, node: Node, writer: IntegerWriter) -> str:
    """Tensors of one scale keep their integers (cat_quantized_cpu in ATen/native/quantized/cpu/TensorShape.cpp)."""
    return f"torch.cat([{', '.join(map(writer.operand, node.operands('xs')))}], 1)"
