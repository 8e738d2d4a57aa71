"""Where reals become integers and integers reals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.exporters.torch.operators.table import FLOAT, INTEGER
from edgekit.ir import (
    Dequantize,
    Quantize,
    Requantize,
)

if TYPE_CHECKING:
    from edgekit.exporters.torch.writers import IntegerWriter
    from edgekit.ir import Node


@INTEGER.implements(Quantize)
def _quantize(_: Quantize, node: Node, writer: IntegerWriter) -> str:
    x, scale, zero_point = writer.operand(node.operand("x")), writer.scale(node.output), writer.zero_point(node.output)
    return f"torch.quantize_per_tensor({x}, {scale!r}, {zero_point}, torch.quint8)"


@INTEGER.implements(Dequantize)
def _dequantize(_: Dequantize, node: Node, writer: IntegerWriter) -> str:
    x = writer.operand(node.operand("x"))
    return f"torch.dequantize({x})"


INTEGER.refuses(Requantize, "it has no activations of 16 bits")
for _border in (Quantize, Requantize, Dequantize):
    FLOAT.refuses(_border, "float networks hold no integers")
