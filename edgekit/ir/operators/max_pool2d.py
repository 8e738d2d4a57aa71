"""The largest number of each window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edgekit.ir.operators.operator import Factors, Gains, Op, Scales, Shape, Window
from edgekit.ir.operators.padding import NO_PADDING, Padding


@dataclass(frozen=True, slots=True)
class MaxPool2d(Op):
    """x [N, C, H, W] -> the largest number of each window, [N, C, H', W'].

    Attributes:
        kernel: height and width of the window.
        stride: rows and columns from one window to the next.
        padding: around x, of what is smaller than any number.
        dilation: rows and columns from one number of a window to the next.
    """

    roles: ClassVar = ("x",)
    scales: ClassVar = Scales.SHARED
    factors: ClassVar = Factors.EQUAL

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: Padding = NO_PADDING
    dilation: tuple[int, int] = (1, 1)

    def output_shape(self, *operands: Shape) -> Shape:
        """[C, H', W']."""
        ((channels, *size),) = operands
        p, reach = self.padding, self.reach
        if min(p.top, p.bottom, p.left, p.right) < 0:
            raise ValueError("crops (its padding is negative): crop the images instead")
        if max(p.top, p.bottom) >= reach[0] or max(p.left, p.right) >= reach[1]:
            raise ValueError(f"is padded by {p} around a window of {reach}, so that one would hold no number")
        return (channels, *map(len, Window(self.stride, p, self.dilation).places(size, self.kernel)))

    def gains(self, *_: Shape) -> Gains:
        """Those of x: they are positive, and leave the largest the largest."""
        return Gains.EQUAL

    @property
    def reach(self) -> tuple[int, int]:
        """Rows and columns between the ends of a window, both included."""
        return Window(self.stride, NO_PADDING, self.dilation).reach(self.kernel)
