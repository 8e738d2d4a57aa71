"""Hard-sigmoid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edgekit.ir.operators.operator import Factors, Gains, Op, Scales, Shape


@dataclass(frozen=True, slots=True)
class HardSigmoid(Op):
    """x -> relu6(x + 3) / 6 (MobileNetV3, arXiv:1905.02244, section 5.2)."""

    roles: ClassVar = ("x",)
    scales: ClassVar = Scales.NONE
    factors: ClassVar = Factors.NONE
    keeps_channels: ClassVar = True
    lowered: ClassVar = "it becomes a sum and a clamp (passes.lower_hard_sigmoid)"

    def output_shape(self, *operands: Shape) -> Shape:
        """That of x."""
        (x,) = operands
        return x

    def gains(self, *_: Shape) -> Gains:
        """None: it is not homogeneous."""
        return Gains.NONE
