"""Convolution, ordinary or depthwise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from edgekit.ir.operators.operator import Factors, Gains, Op, Scales, Shape, Window
from edgekit.ir.operators.padding import NO_PADDING, Padding


@dataclass(frozen=True, slots=True)
class Conv2d(Op):
    """x [N, I, H, W], weight [O, I / groups, kH, kW], bias [O] -> [N, O, H', W']. Dilation 1."""

    roles: ClassVar = ("x", "weight", "bias")
    scales: ClassVar = Scales.FREE
    factors: ClassVar = Factors.ABSORBED
    takes_clamp: ClassVar = True

    stride: tuple[int, int] = (1, 1)
    padding: Padding = NO_PADDING
    groups: int = 1

    def output_shape(self, *operands: Shape) -> Shape:
        """[O, H', W']."""
        (channels, *size), (made, of_group, *kernel), _ = operands
        if channels != of_group * self.groups:
            raise ValueError(f"reads {channels} channels, and its weights are for {of_group * self.groups}")
        p = self.padding
        borders = (p.top + p.bottom, p.left + p.right)
        axes = zip(size, borders, kernel, self.stride, strict=True)
        return (made, *((length + border - side) // step + 1 for length, border, side, step in axes))

    def gains(self, *tensors: Shape) -> Gains:
        """Weights have a row for each channel that is made, and a column, or that row, for each that is read."""
        return Gains.SEPARATE if self.groups in {1, tensors[0][0]} else Gains.NONE

    @property
    def window(self) -> Window:
        """Stride and padding."""
        return Window(self.stride, self.padding)

    def with_padding(self, padding: Padding) -> Conv2d:
        """With other zeros around the feature map."""
        return replace(self, padding=padding)

    @property
    def groups_of_weights(self) -> int:
        """The groups; as many as channels if it is depthwise."""
        return self.groups
