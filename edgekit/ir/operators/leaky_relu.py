"""ReLU that lets part of what is below 0 through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edgekit.ir.operators.operator import Factors, Gains, Op, Scales, Shape

LOWERED = "integer networks hold it as MUL and ADD (passes.lower_leaky_relu)"  # why tables refuse it


@dataclass(frozen=True, slots=True)
class LeakyReLU(Op):
    """x -> x where it is above 0, else slope x."""

    roles: ClassVar = ("x",)
    scales: ClassVar = Scales.NONE
    factors: ClassVar = Factors.EQUAL

    slope: float

    def output_shape(self, *operands: Shape) -> Shape:
        """That of x."""
        (x,) = operands
        return x

    def gains(self, *_: Shape) -> Gains:
        """Those of x."""
        return Gains.EQUAL
