"""Activations that stand by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.exporters.torch.operators.table import FLOAT, INTEGER
from edgekit.ir import HardSwish, LeakyReLU, PReLU, Sigmoid, Softmax
from edgekit.ir.operators import hard_swish, leaky_relu
from edgekit.ir.operators.softmax import IN_FLOAT

if TYPE_CHECKING:
    from edgekit.exporters.torch.writers import FloatWriter, IntegerWriter
    from edgekit.ir import Node


@FLOAT.implements(HardSwish)
def _hard_swish(_: HardSwish, node: Node, writer: FloatWriter) -> str:
    x = writer.operand(node.operand("x"))
    return f"torch.ops.aten.hardswish({x})"


INTEGER.refuses(HardSwish, hard_swish.LOWERED)


@FLOAT.implements(Sigmoid)
def _sigmoid(_: Sigmoid, node: Node, writer: FloatWriter) -> str:
    return f"torch.sigmoid({writer.operand(node.operand('x'))})"


@INTEGER.implements(Sigmoid)
def _sigmoid_stored(_: Sigmoid, node: Node, writer: IntegerWriter) -> str:
    """Of quint8 it is quint8 with scale 1/256 and zero point 0 (ATen/native/quantized/cpu/qsigmoid.cpp)."""
    return f"torch.sigmoid({writer.operand(node.operand('x'))})"


@FLOAT.implements(Softmax)
def _softmax(op: Softmax, node: Node, writer: FloatWriter) -> str:
    return f"torch.softmax({writer.operand(node.operand('x'))}, {op.axis})"


INTEGER.refuses(Softmax, IN_FLOAT)


@FLOAT.implements(LeakyReLU)
def _leaky_relu(op: LeakyReLU, node: Node, writer: FloatWriter) -> str:
    return f"torch.ops.aten.leaky_relu({writer.operand(node.operand('x'))}, {op.slope!r})"


@FLOAT.implements(PReLU)
def _prelu(_: PReLU, node: Node, writer: FloatWriter) -> str:
    x, slope = map(writer.operand, node.inputs)
    return f"torch.prelu({x}, {slope})"


INTEGER.refuses(LeakyReLU, leaky_relu.LOWERED)
INTEGER.refuses(PReLU, leaky_relu.LOWERED)
