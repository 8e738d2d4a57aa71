"""Multiplication."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edgekit.ir.operators.operator import Factors, Gains, Op, Scales, Shape, broadcast_shape


@dataclass(frozen=True, slots=True)
class Mul(Op):
    """a, b -> a b. b has the shape of a, or 1 in place of some of its sizes; it may be a constant of one element."""

    roles: ClassVar = ("a", "b")
    scales: ClassVar = Scales.SOLVED
    factors: ClassVar = Factors.PRODUCT
    takes_clamp: ClassVar = True

    def output_shape(self, *operands: Shape) -> Shape:
        """That of a."""
        a, b = operands
        return broadcast_shape(a, b, "multiplies")

    def gains(self, *_: Shape) -> Gains:
        """Those of a; b is a gate, or a again behind one."""
        return Gains.FIRST
