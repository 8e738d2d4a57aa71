"""The logistic function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edgekit.ir.operators.operator import Factors, Gains, Op, Scales, Shape


@dataclass(frozen=True, slots=True)
class Sigmoid(Op):
    """x -> 1 / (1 + exp(-x)). In integers a table of 256 entries (``edgekit.curves``)."""

    roles: ClassVar = ("x",)
    scales: ClassVar = Scales.FIXED
    grid: ClassVar = (
        1 / 256,
        -128,
    )  # TFLite's 8-bit specification: LOGISTIC. Torch has no other, either
    factors: ClassVar = Factors.NONE
    keeps_channels: ClassVar = True

    def output_shape(self, *operands: Shape) -> Shape:
        """That of x."""
        (x,) = operands
        return x

    def gains(self, *_: Shape) -> Gains:
        """None: it is not homogeneous."""
        return Gains.NONE
