"""Sums and products."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.exporters.torch.operators.table import FLOAT, INTEGER
from edgekit.ir import (
    Add,
    Mul,
)

if TYPE_CHECKING:
    from edgekit.exporters.torch.writers import FloatWriter, IntegerWriter
    from edgekit.ir import Node


@FLOAT.implements(Add)
def _add(_: Add, node: Node, writer: FloatWriter) -> str:
    a, b = map(writer.operand, node.inputs)
    return f"torch.add({a}, {b})"


@INTEGER.implements(Add)
def _add_stored(_: Add, node: Node, writer: IntegerWriter) -> str:
    return _quantized("add", node, writer, *map(writer.operand, node.inputs))


@FLOAT.implements(Mul)
def _mul(_: Mul, node: Node, writer: FloatWriter) -> str:
    a, b = map(writer.operand, node.inputs)
    return f"torch.mul({a}, {b})"


@INTEGER.implements(Mul)
def _mul_stored(_: Mul, node: Node, writer: IntegerWriter) -> str:
    return _quantized("mul", node, writer, *map(writer.operand, node.inputs))


def _quantized(operator: str, node: Node, writer: IntegerWriter, *operands: str) -> str:
    """A call of torch.ops.quantized: the operands, then the scale and zero point of the output."""
    scale, zero_point = writer.scale(node.output), writer.zero_point(node.output)
    return f"torch.ops.quantized.{operator}({', '.join(operands)}, {scale!r}, {zero_point})"
