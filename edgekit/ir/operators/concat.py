"""Channels of several tensors behind one another, or rows, or what another axis counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from edgekit.ir.operators.operator import Factors, Gains, Op, Scales, Shape

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Concat(Op):
    """xs [N, C_i, H, W] or [N, C_i] -> [N, C_1 + C_2 + ..., H, W] or [N, C_1 + C_2 + ...]; other axes likewise.

    Attributes:
        axis: that grows, the batch not counted.
    """

    roles: ClassVar = ("xs",)
    repeats: ClassVar = True
    scales: ClassVar = Scales.SHARED
    factors: ClassVar = Factors.EQUAL

    axis: int = 0

    def output_shape(self, *operands: Shape) -> Shape:
        """Those of the operands, but for the axis that grows."""
        sizes = {(*shape[: self.axis], *shape[self.axis + 1 :]) for shape in operands}
        ranks = {len(shape) for shape in operands}
        if len(sizes) != 1 or len(ranks) != 1 or not 0 <= self.axis < min(ranks):
            raise ValueError(f"joins tensors of the shapes {list(operands)} along axis {self.axis + 1}")
        first = list(operands[0])
        first[self.axis] = sum(shape[self.axis] for shape in operands)
        return tuple(first)

    def gains(self, *_: Shape) -> Gains:
        """Those of the operands, behind one another; where other axes grow, equal ones."""
        return Gains.EQUAL

    def channels(self, *tensors: Shape) -> tuple[NDArray[np.intp], ...]:
        """Those of the first operand come first."""
        if self.axis != 0:
            return Op.channels(self, *tensors)
        sizes = [channels for channels, *_ in tensors]
        starts = np.cumsum([0, *sizes[:-1]])
        return tuple(np.arange(size)[:, None] + [0, start] for size, start in zip(sizes, starts, strict=True))
