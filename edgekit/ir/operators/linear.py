"""Linear layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edgekit.ir.operators.conv2d import Conv2d
from edgekit.ir.operators.operator import Factors, Gains, Op, Scales, Shape


@dataclass(frozen=True, slots=True)
class Linear(Op):
    """x [N, I], weight [O, I], bias [O] -> [N, O]."""

    roles: ClassVar = ("x", "weight", "bias")
    scales: ClassVar = Scales.FREE
    factors: ClassVar = Factors.ABSORBED
    takes_clamp: ClassVar = True

    def output_shape(self, *operands: Shape) -> Shape:
        """[O]."""
        x, (made, read), _ = operands
        if x != (read,):
            raise ValueError(f"takes {read} numbers and reads the shape {x}")
        return (made,)

    def gains(self, *_: Shape) -> Gains:
        """Weights have a row for each number that is made, and a column for each that is read."""
        return Gains.SEPARATE

    def as_image(self) -> Conv2d:
        """A 1 x 1 convolution."""
        return Conv2d()
