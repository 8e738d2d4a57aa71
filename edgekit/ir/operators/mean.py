"""Global average pooling."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final

from edgekit.ir.operators.operator import Factors, Gains, Op, Scales, Shape

MOST: Final = 2**24 // 255  # bytes, less a zero point, whose sum float32 holds exactly


@dataclass(frozen=True, slots=True)
class Mean(Op):
    """x [N, C, H, W] -> its mean over H and W, [N, C, 1, 1], or [N, C] without ``keep_dims``."""

    roles: ClassVar = ("x",)
    scales: ClassVar = Scales.SOLVED
    factors: ClassVar = Factors.EQUAL

    keep_dims: bool = True

    def unproven(self, *operands: Shape) -> str:
        """Sums that float32 cannot hold are rounded, in the order of the kernel."""
        _, *size = operands[0]
        count = math.prod(size)
        return f"float32 does not hold sums of {count:,} bytes" if count > MOST else ""

    @property
    def averages(self) -> bool:
        """All of a feature map."""
        return True

    def output_shape(self, *operands: Shape) -> Shape:
        """[C, 1, 1] or [C]."""
        ((channels, *_),) = operands
        return (channels, 1, 1) if self.keep_dims else (channels,)

    def gains(self, *_: Shape) -> Gains:
        """Those of x."""
        return Gains.EQUAL
