"""Global average pooling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edgekit.ir.operators.operator import Factors, Gains, Op, Scales, Shape


@dataclass(frozen=True, slots=True)
class Mean(Op):
    """x [N, C, H, W] -> its mean over H and W, [N, C, 1, 1], or [N, C] without ``keep_dims``."""

    roles: ClassVar = ("x",)
    scales: ClassVar = Scales.SOLVED
    factors: ClassVar = Factors.EQUAL

    keep_dims: bool = True

    def output_shape(self, *operands: Shape) -> Shape:
        """[C, 1, 1] or [C]."""
        ((channels, *_),) = operands
        return (channels, 1, 1) if self.keep_dims else (channels,)

    def gains(self, *_: Shape) -> Gains:
        """Those of x."""
        return Gains.EQUAL
