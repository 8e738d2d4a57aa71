"""Convolution: ordinary, depthwise or in groups of channels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, TypedDict, Unpack

from edgekit.ir.operators.operator import Factors, Gains, Op, Scales, Shape, Window
from edgekit.ir.operators.padding import NO_PADDING, Padding, Same

if TYPE_CHECKING:
    from collections.abc import Sequence


class ConvolutionAttributes(TypedDict, total=False):
    """What other tools say of a convolution; what is left out is as in one that looks at single pixels.

    Attributes:
        stride: rows and columns from one place to the next.
        padding: zeros around the image, or how TensorFlow chooses them.
        dilation: rows and columns from one weight to the next.
        groups: into how many its channels fall.
    """

    stride: tuple[int, int]
    padding: Padding | Same
    dilation: Sequence[int]
    groups: int


@dataclass(frozen=True, slots=True)
class Conv2d(Op):
    """x [N, I, H, W], weight [O, I / groups, kH, kW], bias [O] -> [N, O, H', W'].

    Each of the groups of output channels reads one group of input channels, both in order.
    """

    roles: ClassVar = ("x", "weight", "bias")
    scales: ClassVar = Scales.FREE
    factors: ClassVar = Factors.ABSORBED
    takes_clamp: ClassVar = True

    stride: tuple[int, int] = (1, 1)
    padding: Padding = NO_PADDING
    groups: int = 1
    dilation: tuple[int, int] = (1, 1)

    @classmethod
    def described(cls, x: Shape, weight: Shape, **attributes: Unpack[ConvolutionAttributes]) -> Conv2d:
        """The operator for these shapes, with its attributes as other tools have them.

        Raises:
            ValueError: edgekit has no such convolution; the message continues "layer 'features.0' ...".
        """
        stride, groups = attributes.get("stride", (1, 1)), attributes.get("groups", 1)
        padding, dilation = attributes.get("padding", NO_PADDING), attributes.get("dilation", (1, 1))
        if x[0] % groups or weight[0] % groups:
            raise ValueError(f"has {groups} groups for {x[0]} -> {weight[0]} channels, and they do not come out even")
        steps = dilation[0], dilation[1]
        reach = Window(stride, NO_PADDING, steps).reach(weight[2:])
        if isinstance(padding, Same):
            padding = padding.padding((x[1], x[2]), reach, stride)
        if min(padding.top, padding.bottom, padding.left, padding.right) < 0:
            raise ValueError("crops (its padding is negative): crop the images instead")
        return cls(stride, padding, groups, steps)

    def output_shape(self, *operands: Shape) -> Shape:
        """[O, H', W']."""
        (channels, *size), (made, of_group, *kernel), _ = operands
        if channels != of_group * self.groups:
            raise ValueError(f"reads {channels} channels, and its weights are for {of_group * self.groups}")
        return (made, *map(len, self.window.places(size, kernel)))

    def gains(self, *_: Shape) -> Gains:
        """Weights have a row for each channel that is made, and a column of their group for each that is read."""
        return Gains.SEPARATE

    @property
    def window(self) -> Window:
        """Stride, padding and dilation."""
        return Window(self.stride, self.padding, self.dilation)

    def with_padding(self, padding: Padding) -> Conv2d:
        """With other zeros around the feature map."""
        return replace(self, padding=padding)

    @property
    def groups_of_weights(self) -> int:
        """The groups; as many as channels if it is depthwise."""
        return self.groups
