"""Addition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edgekit.ir.operators.operator import Factors, Gains, Op, Scales, Shape, broadcast_shape


@dataclass(frozen=True, slots=True)
class Add(Op):
    """a, b -> a + b. b has the shape of a, or 1 in place of some of its sizes; it may be a constant of one element."""

    roles: ClassVar = ("a", "b")
    scales: ClassVar = Scales.SOLVED
    factors: ClassVar = Factors.EQUAL
    keeps_channels: ClassVar = True
    takes_clamp: ClassVar = True
    has_ratio_per_operand: ClassVar = True

    def output_shape(self, *operands: Shape) -> Shape:
        """That of a."""
        a, b = operands
        return broadcast_shape(a, b, "adds")

    def gains(self, *tensors: Shape) -> Gains:
        """Those of both operands; none where one of them is a constant, which has none."""
        return Gains.EQUAL if len(tensors) == 2 else Gains.NONE
