"""Soft-max."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from edgekit.ir.operators.operator import Factors, Gains, Op, Scales, Shape

IN_FLOAT: Final = "it has no integer form, so it is kept in float"  # why tables of integers refuse it


@dataclass(frozen=True, slots=True)
class Softmax(Op):
    """x -> exp(x) over the sum of exp(x) along an axis, which is counted from the batch on: 1 for channels.

    Runtimes have tables and fixed points of their own for 8 bits, none of which agree, so it is computed in float.
    """

    roles: ClassVar = ("x",)
    scales: ClassVar = Scales.NONE
    factors: ClassVar = Factors.NONE

    axis: int = 1

    def output_shape(self, *operands: Shape) -> Shape:
        """That of x."""
        (x,) = operands
        if not 0 < self.axis <= len(x):
            raise ValueError(f"takes a soft-max along axis {self.axis} of a tensor of the shape {x}")
        return x

    def gains(self, *_: Shape) -> Gains:
        """None: it is not homogeneous."""
        return Gains.NONE
