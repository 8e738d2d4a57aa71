"""Feature maps of one pixel as a vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edgekit.ir.operators.operator import Factors, Gains, Op, Scales, Shape


@dataclass(frozen=True, slots=True)
class Flatten(Op):
    """x [N, C, 1, 1] -> [N, C]."""

    roles: ClassVar = ("x",)
    scales: ClassVar = Scales.SHARED
    factors: ClassVar = Factors.EQUAL

    def output_shape(self, *operands: Shape) -> Shape:
        """[C]."""
        ((channels, *size),) = operands
        if size != [1, 1]:
            raise ValueError(f"flattens a tensor of the shape {operands[0]}: put global average pooling before it")
        return (channels,)

    def gains(self, *_: Shape) -> Gains:
        """Those of x."""
        return Gains.EQUAL

    def as_image(self) -> None:
        """What it reads is [C, 1, 1]."""
