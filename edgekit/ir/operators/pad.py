"""Zeros around feature maps, or before and behind their channels, as an operator of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from edgekit.ir.operators.operator import Factors, Gains, Op, Scales, Shape
from edgekit.ir.operators.padding import NO_PADDING, Padding

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Pad(Op):
    """x [N, C, H, W] -> x with zeros around it.

    Attributes:
        padding: rows and columns.
        channels_around: how many before and behind those of x.
    """

    roles: ClassVar = ("x",)
    scales: ClassVar = Scales.SHARED
    factors: ClassVar = Factors.EQUAL

    padding: Padding = NO_PADDING
    channels_around: tuple[int, int] = (0, 0)

    def output_shape(self, *operands: Shape) -> Shape:
        """[C, H', W']."""
        ((channels, height, width),) = operands
        p = self.padding
        return (channels + sum(self.channels_around), height + p.top + p.bottom, width + p.left + p.right)

    def gains(self, *_: Shape) -> Gains:
        """Those of x."""
        return Gains.EQUAL

    def channels(self, *tensors: Shape) -> tuple[NDArray[np.intp], ...]:
        """Those of x come behind the zeros before them, whose gain is nobody's business."""
        ((channels, *_),) = tensors
        read = np.arange(channels)
        return (np.stack([read, read + self.channels_around[0]], axis=1),)
