"""From reals to integers, in an integer model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edgekit.ir.operators.operator import Border, Factors, Gains, Op, Scales, Shape


@dataclass(frozen=True, slots=True)
class Quantize(Op):
    """x [...], real -> the nearest stored integers, with the parameters of the output."""

    roles: ClassVar = ("x",)
    scales: ClassVar = Scales.FREE
    factors: ClassVar = Factors.NONE
    border: ClassVar = Border.TO_INTEGERS

    def output_shape(self, *operands: Shape) -> Shape:
        """That of x."""
        (x,) = operands
        return x

    def gains(self, *_: Shape) -> Gains:
        """None: borders are drawn when gains are settled."""
        return Gains.NONE
