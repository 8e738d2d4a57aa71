"""Average pooling of windows; that of whole feature maps is ``Mean``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from edgekit.ir.operators.operator import Factors, Gains, Op, Scales, Shape, Window
from edgekit.ir.operators.padding import NO_PADDING, Padding

LOWERED = "integer networks hold it as a depthwise convolution (passes.lower_average_pool)"  # why tables refuse it


@dataclass(frozen=True, slots=True)
class AveragePool2d(Op):
    """x [N, C, H, W] -> the mean of each window, [N, C, H', W']. Zeros around x count as any number.

    Attributes:
        kernel: height and width of the window.
        stride: rows and columns from one window to the next.
        padding: zeros around x.
    """

    roles: ClassVar = ("x",)
    scales: ClassVar = Scales.NONE
    factors: ClassVar = Factors.EQUAL
    takes_clamp: ClassVar = True

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: Padding = NO_PADDING

    def output_shape(self, *operands: Shape) -> Shape:
        """[C, H', W']."""
        ((channels, *size),) = operands
        return (channels, *map(len, self.window.places(size, self.kernel)))

    def gains(self, *_: Shape) -> Gains:
        """Those of x."""
        return Gains.EQUAL

    @property
    def window(self) -> Window:
        """Stride and padding."""
        return Window(self.stride, self.padding)

    @property
    def area(self) -> int:
        """How many numbers a mean is of."""
        return math.prod(self.kernel)
