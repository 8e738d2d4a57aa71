"""Sums and products."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.ir import (
    Add,
    Mul,
)
from edgekit.reference.operators.table import FLOAT, INTEGER, Arithmetic, Float, Stored

if TYPE_CHECKING:
    from edgekit.ir import Node


@FLOAT.implements(Add)
def _add(_: Add, a: Float, b: Float) -> Float:
    return a + b


@INTEGER.implements(Add)
def _add_stored(_: Add, model: Arithmetic, node: Node, a: Stored, b: Stored) -> Stored:
    p_a, p_b = model.model.ratios[node.name].numerator
    total = model.centred(node.operand("a"), a) * p_a + model.centred(node.operand("b"), b) * p_b
    return model.requantize(node, total)


@FLOAT.implements(Mul)
def _mul(_: Mul, a: Float, b: Float) -> Float:
    return a * b


@INTEGER.implements(Mul)
def _mul_stored(_: Mul, model: Arithmetic, node: Node, a: Stored, b: Stored) -> Stored:
    return model.requantize(node, model.centred(node.operand("a"), a) * model.centred(node.operand("b"), b))
