"""Hard-swish."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edgekit.ir.operators.operator import Factors, Gains, Op, Scales, Shape

LOWERED = "integer networks hold it as ADD and MUL (passes.lower_hard_swish)"  # why tables refuse it


@dataclass(frozen=True, slots=True)
class HardSwish(Op):
    """x -> x relu6(x + 3) / 6 (MobileNetV3, arXiv:1905.02244, section 5.2)."""

    roles: ClassVar = ("x",)
    scales: ClassVar = Scales.NONE
    factors: ClassVar = Factors.NONE
    keeps_channels: ClassVar = True

    def output_shape(self, *operands: Shape) -> Shape:
        """That of x."""
        (x,) = operands
        return x

    def gains(self, *_: Shape) -> Gains:
        """None: it is not homogeneous."""
        return Gains.NONE
