"""The pieces that blocks of several families are made of. Names of children are such that keys equal torchvision's."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional

from edgekit.ir import Padding

if TYPE_CHECKING:
    from edgekit.models.architecture import Activation, Architecture, Block, HeadActivation, PaddingStyle, Size


@dataclass(frozen=True, slots=True)
class Shape:
    """A convolution's channels in and out, side of the kernel in pixels, stride, groups and dilation."""

    before: int
    after: int
    kernel: int = 1
    stride: int = 1
    groups: int = 1
    dilation: int = 1

    @property
    def reach(self) -> int:
        """Pixels from the first number of the kernel to the last."""
        return (self.kernel - 1) * self.dilation + 1


class PaddedConv2d(nn.Conv2d):
    """A convolution whose border differs from side to side, which ``nn.Conv2d`` cannot express."""

    def __init__(self, shape: Shape, border: Padding, *, bias: bool) -> None:
        super().__init__(
            shape.before,
            shape.after,
            shape.kernel,
            shape.stride,
            dilation=shape.dilation,
            groups=shape.groups,
            bias=bias,
        )
        self.border = (border.left, border.right, border.top, border.bottom)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the parameter's name in nn.Conv2d
        """[N, I, H, W] -> [N, O, H', W']."""
        return super().forward(functional.pad(input, self.border))


def conv(shape: Shape, size: Size, padding: PaddingStyle, *, bias: bool = False) -> nn.Conv2d:
    """A convolution for images of ``size``."""
    reach, stride = shape.reach, shape.stride
    border = Padding.same(size, (reach, reach), (stride, stride))
    if padding == "same" and (border.top, border.left) != (border.bottom, border.right):
        return PaddedConv2d(shape, border, bias=bias)
    sides = (reach // 2, reach // 2) if padding == "symmetric" else (border.top, border.left)
    return nn.Conv2d(
        shape.before, shape.after, shape.kernel, stride, sides, shape.dilation, groups=shape.groups, bias=bias
    )


def size_behind(size: Size, stride: int) -> Size:
    """What is left of ``size`` behind a padded convolution."""
    height, width = size
    return math.ceil(height / stride), math.ceil(width / stride)


def activate(activation: HeadActivation) -> nn.Module:
    """The module that computes ``activation``."""
    modules = {"relu": nn.ReLU, "relu6": nn.ReLU6, "hard_swish": nn.Hardswish, "none": nn.Identity}
    return modules[activation]()


def conv_bn(
    architecture: Architecture, shape: Shape, size: Size, activation: Activation | None = None
) -> nn.Sequential:
    """Convolution (0), batch normalization (1) and, unless it is None, ``activation`` (2)."""
    layers: list[nn.Module] = [
        conv(shape, size, architecture.padding),
        nn.BatchNorm2d(shape.after, eps=architecture.bn_eps),
    ]
    if activation is not None:
        layers.append(activate(activation))
    return nn.Sequential(*layers)


class SqueezeExcite(nn.Module):
    """x -> then(x gate(fc2(act(fc1(mean(x)))))), where act is ReLU unless the architecture has the block's.

    Source: arXiv:1905.02244, section 5.3.
    """

    def __init__(self, architecture: Architecture, block: Block, then: HeadActivation = "none") -> None:
        super().__init__()
        channels, squeeze = block.expanded, block.squeeze
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, squeeze, 1)
        self.activation = activate(block.activation) if architecture.squeezes_as_block else nn.ReLU()
        self.fc2 = nn.Conv2d(squeeze, channels, 1)
        self.scale_activation = nn.Sigmoid() if architecture.gate == "sigmoid" else nn.Hardsigmoid()
        self.then = None if then == "none" else activate(then)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H, W]."""
        scale: Tensor = self.scale_activation(self.fc2(self.activation(self.fc1(self.avgpool(x)))))
        y: Tensor = x * scale if self.then is None else self.then(x * scale)
        return y


def depthwise(block: Block) -> Shape:
    """A block's depthwise convolution."""
    return Shape(block.expanded, block.expanded, block.kernel, block.stride, block.expanded, block.dilation)


def has_residual(architecture: Architecture, before: int, block: Block) -> bool:
    """Whether a block that gets ``before`` channels adds its input."""
    return architecture.residuals and block.skips and block.stride == 1 and before == block.out


def expand_and_filter(
    architecture: Architecture, before: int, block: Block, size: Size, *, activates: bool = True
) -> list[nn.Module]:
    """The expansion where there is one, and the depthwise convolution, whose activation may come later."""
    filtered = conv_bn(architecture, depthwise(block), size, block.activation if activates else None)
    if not block.expands:
        return [filtered]
    return [conv_bn(architecture, Shape(before, block.expanded), size, block.activation), filtered]
