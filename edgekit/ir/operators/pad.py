"""Zeros around feature maps, as an operator of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edgekit.ir.operators.operator import Factors, Gains, Op, Scales, Shape
from edgekit.ir.operators.padding import Padding


@dataclass(frozen=True, slots=True)
class Pad(Op):
    """x [N, C, H, W] -> x with zeros around it."""

    roles: ClassVar = ("x",)
    scales: ClassVar = Scales.SHARED
    factors: ClassVar = Factors.EQUAL

    padding: Padding

    def output_shape(self, *operands: Shape) -> Shape:
        """[C, H', W']."""
        ((channels, height, width),) = operands
        p = self.padding
        return (channels, height + p.top + p.bottom, width + p.left + p.right)

    def gains(self, *_: Shape) -> Gains:
        """Those of x."""
        return Gains.EQUAL
