"""Transposed convolution, which makes feature maps larger."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from edgekit.ir.operators.operator import Factors, Gains, Op, Scales, Shape
from edgekit.ir.operators.padding import NO_PADDING, Padding


@dataclass(frozen=True, slots=True)
class TransposedConv2d(Op):
    """x [N, I, H, W], weight [O, I / groups, kH, kW], bias [O] -> [N, O, H', W'].

    Each number of x puts the weights, times itself, into the result, stride rows or columns behind those of the number
    before; where they overlap, they add up.

    Attributes:
        stride: rows and columns from one number's weights to the next's.
        padding: rows and columns that are taken off the result.
        more: rows and columns behind the last that are not taken off, or hold the bias alone.
        groups: into how many its channels fall.
    """

    roles: ClassVar = ("x", "weight", "bias")
    scales: ClassVar = Scales.NONE
    factors: ClassVar = Factors.ABSORBED
    takes_clamp: ClassVar = True
    lowered: ClassVar = "it becomes a convolution, whose channels become space (passes.lower_transposed_convolution)"

    stride: tuple[int, int] = (1, 1)
    padding: Padding = NO_PADDING
    more: tuple[int, int] = (0, 0)
    groups: int = 1

    def output_shape(self, *operands: Shape) -> Shape:
        """[O, H', W']."""
        (channels, height, width), (made, of_group, rows, columns), _ = operands
        p = self.padding
        if channels != of_group * self.groups or made % self.groups:
            raise ValueError(f"reads {channels} channels in {self.groups} groups, and its weights are {operands[1]}")
        size = (
            (height - 1) * self.stride[0] + rows - p.top - p.bottom + self.more[0],
            (width - 1) * self.stride[1] + columns - p.left - p.right + self.more[1],
        )
        if min(size) < 1:
            raise ValueError(f"takes everything off its result: its padding is {p}")
        return (made, *size)

    def gains(self, *_: Shape) -> Gains:
        """Weights have a row for each channel that is made, and a column of their group for each that is read."""
        return Gains.SEPARATE

    def macs(self, *operands: Shape) -> int:
        """Each number of x is multiplied by the weights of its group."""
        x, (made, _, *kernel), _ = operands
        return math.prod(x) * (made // self.groups) * math.prod(kernel)

    @property
    def groups_of_weights(self) -> int:
        """The groups."""
        return self.groups
