"""Addition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edgekit.ir.operators.operator import Factors, Gains, Op, Scales, Shape


@dataclass(frozen=True, slots=True)
class Add(Op):
    """a, b -> a + b. b may be a constant of one element."""

    roles: ClassVar = ("a", "b")
    scales: ClassVar = Scales.SOLVED
    factors: ClassVar = Factors.EQUAL
    takes_clamp: ClassVar = True
    has_ratio_per_operand: ClassVar = True

    def output_shape(self, *operands: Shape) -> Shape:
        """That of both, or that of a beside a constant of one element."""
        a, b = operands
        if b not in {a, (1,)}:
            raise ValueError(f"has operands of the shapes {a} and {b}, and edgekit adds equal shapes only")
        return a

    def gains(self, *tensors: Shape) -> Gains:
        """Those of both operands; none where one of them is a constant, which is the same for all channels."""
        return Gains.EQUAL if len(tensors) == 2 else Gains.NONE
