"""A clamp by itself, before it is fused into the layer that it belongs to (``Node.activation``)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from edgekit.ir.operators.operator import Factors, Gains, Op, Scales, Shape


@dataclass(frozen=True, slots=True)
class Clamp(Op):
    """x -> min(max(x, low), high). ReLU is Clamp(0, inf), ReLU6 is Clamp(0, 6)."""

    roles: ClassVar = ("x",)
    scales: ClassVar = Scales.NONE
    factors: ClassVar = Factors.EQUAL
    keeps_channels: ClassVar = True
    lowered: ClassVar = "it becomes part of a layer, or of a product with 1 (passes.lower_clamp)"

    low: float
    high: float = math.inf

    def output_shape(self, *operands: Shape) -> Shape:
        """That of x."""
        (x,) = operands
        return x

    def gains(self, *_: Shape) -> Gains:
        """None: its bounds are the same for all channels."""
        return Gains.NONE

    def times(self, factor: float) -> Clamp:
        """With ``factor`` times the bounds."""
        return Clamp(self.low * factor, self.high * factor)
