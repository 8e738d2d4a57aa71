"""Leaky ReLU with a slope for each channel, which was learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edgekit.ir.operators.operator import Factors, Gains, Op, Scales, Shape


@dataclass(frozen=True, slots=True)
class PReLU(Op):
    """x [N, C, H, W] or [N, C], slope [C] -> x where it is above 0, else slope x."""

    roles: ClassVar = ("x", "slope")
    scales: ClassVar = Scales.NONE
    factors: ClassVar = Factors.NONE

    def output_shape(self, *operands: Shape) -> Shape:
        """That of x."""
        x, slope = operands
        if slope != x[:1]:
            raise ValueError(f"has {slope} slopes for the shape {x}, and not one a channel")
        return x

    def gains(self, *_: Shape) -> Gains:
        """Those of x."""
        return Gains.EQUAL
