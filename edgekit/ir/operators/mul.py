"""Multiplication."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edgekit.ir.operators.operator import Factors, Gains, Op, Scales, Shape


@dataclass(frozen=True, slots=True)
class Mul(Op):
    """a [N, C, H, W], b of the same shape or [N, C, 1, 1] -> a b. b may be a constant of one element."""

    roles: ClassVar = ("a", "b")
    scales: ClassVar = Scales.SOLVED
    factors: ClassVar = Factors.PRODUCT
    takes_clamp: ClassVar = True

    def output_shape(self, *operands: Shape) -> Shape:
        """That of a."""
        a, b = operands
        if b not in {a, (1,), (a[0], 1, 1)}:
            raise ValueError(
                f"has operands of the shapes {a} and {b}: edgekit multiplies equal shapes, or by one number a channel"
            )
        return a

    def gains(self, *_: Shape) -> Gains:
        """Those of a; b is a gate, or a again behind one."""
        return Gains.FIRST
