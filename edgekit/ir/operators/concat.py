"""Channels of several tensors behind one another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from edgekit.ir.operators.operator import Factors, Gains, Op, Scales, Shape

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Concat(Op):
    """xs [N, C_i, H, W] or [N, C_i] -> [N, C_1 + C_2 + ..., H, W] or [N, C_1 + C_2 + ...]."""

    roles: ClassVar = ("xs",)
    repeats: ClassVar = True
    scales: ClassVar = Scales.SHARED
    factors: ClassVar = Factors.EQUAL

    def output_shape(self, *operands: Shape) -> Shape:
        """[C, H, W] or [C], C being the sum of all channels."""
        sizes = {tuple(size) for _, *size in operands}
        if len(sizes) != 1:
            raise ValueError(f"joins tensors of the shapes {list(operands)}, and edgekit joins channels only")
        return (sum(channels for channels, *_ in operands), *next(iter(sizes)))

    def gains(self, *_: Shape) -> Gains:
        """Those of the operands, behind one another."""
        return Gains.EQUAL

    def channels(self, *tensors: Shape) -> tuple[NDArray[np.intp], ...]:
        """Those of the first operand come first."""
        sizes = [channels for channels, *_ in tensors]
        starts = np.cumsum([0, *sizes[:-1]])
        return tuple(np.arange(size)[:, None] + [0, start] for size, start in zip(sizes, starts, strict=True))
