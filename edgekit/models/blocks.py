"""The pieces that the networks are made of. Child names are chosen so that state-dict keys equal torchvision's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional

from edgekit.ir import Padding

if TYPE_CHECKING:
    from edgekit.models.architecture import Activation, Architecture, Block, HeadActivation, PaddingStyle, Size


@dataclass(frozen=True, slots=True)
class Shape:
    """A convolution's channels in and out, side of the kernel in pixels, stride and groups."""

    before: int
    after: int
    kernel: int = 1
    stride: int = 1
    groups: int = 1


class PaddedConv2d(nn.Conv2d):
    """A convolution whose border differs from side to side, which ``nn.Conv2d`` cannot express."""

    def __init__(self, shape: Shape, border: Padding) -> None:
        super().__init__(shape.before, shape.after, shape.kernel, shape.stride, groups=shape.groups, bias=False)
        self.border = (border.left, border.right, border.top, border.bottom)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the parameter's name in nn.Conv2d
        """[N, I, H, W] -> [N, O, H', W']."""
        return super().forward(functional.pad(input, self.border))


def conv(shape: Shape, size: Size, padding: PaddingStyle) -> nn.Conv2d:
    """A convolution without bias for images of ``size``."""
    kernel, stride = shape.kernel, shape.stride
    border = Padding.same(size, (kernel, kernel), (stride, stride))
    if padding == "same" and (border.top, border.left) != (border.bottom, border.right):
        return PaddedConv2d(shape, border)
    sides = (kernel // 2, kernel // 2) if padding == "symmetric" else (border.top, border.left)
    return nn.Conv2d(shape.before, shape.after, kernel, stride, sides, groups=shape.groups, bias=False)


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
    """x -> then(x hard_sigmoid(fc2(relu(fc1(mean(x)))))) (arXiv:1905.02244, section 5.3)."""

    def __init__(self, channels: int, squeeze: int, then: HeadActivation = "none") -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, squeeze, 1)
        self.activation = nn.ReLU()
        self.fc2 = nn.Conv2d(squeeze, channels, 1)
        self.scale_activation = nn.Hardsigmoid()
        self.then = None if then == "none" else activate(then)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H, W]."""
        scale: Tensor = self.scale_activation(self.fc2(self.activation(self.fc1(self.avgpool(x)))))
        y: Tensor = x * scale if self.then is None else self.then(x * scale)
        return y


class DepthwiseSeparable(nn.Module):
    """The block of V1: depthwise and 1x1 convolution, each with batch normalization and activation."""

    def __init__(self, architecture: Architecture, block: Block, size: Size) -> None:
        super().__init__()
        before, after = block.expanded, block.out
        self.depthwise = conv(_depthwise(block), size, architecture.padding)
        self.bn1 = nn.BatchNorm2d(before, eps=architecture.bn_eps)
        self.act1 = activate(block.activation)
        self.pointwise = nn.Conv2d(before, after, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after, eps=architecture.bn_eps)
        self.act2 = activate(block.activation)

    def forward(self, x: Tensor) -> Tensor:
        """[N, I, H, W] -> [N, O, H / stride, W / stride]."""
        x = self.act1(self.bn1(self.depthwise(x)))
        y: Tensor = self.act2(self.bn2(self.pointwise(x)))
        return y


def _depthwise(block: Block) -> Shape:
    return Shape(block.expanded, block.expanded, block.kernel, block.stride, groups=block.expanded)


def _has_residual(architecture: Architecture, before: int, block: Block) -> bool:
    return architecture.residuals and block.stride == 1 and before == block.out


def _expand_and_filter(
    architecture: Architecture, before: int, block: Block, size: Size, *, activates: bool = True
) -> list[nn.Module]:
    """The expansion where there is one, and the depthwise convolution, whose activation may come later."""
    depthwise = conv_bn(architecture, _depthwise(block), size, block.activation if activates else None)
    if not block.expands:
        return [depthwise]
    return [conv_bn(architecture, Shape(before, block.expanded), size, block.activation), depthwise]


class InvertedResidualV2(nn.Module):
    """The block of V2: the projection's convolution and batch normalization are children of their own."""

    def __init__(self, architecture: Architecture, before: int, block: Block, size: Size) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            *_expand_and_filter(architecture, before, block, size),
            nn.Conv2d(block.expanded, block.out, 1, bias=False),
            nn.BatchNorm2d(block.out, eps=architecture.bn_eps),
        )
        self.has_residual = _has_residual(architecture, before, block)

    def forward(self, x: Tensor) -> Tensor:
        """[N, I, H, W] -> [N, O, H / stride, W / stride]."""
        y: Tensor = self.conv(x)
        return x + y if self.has_residual else y


class InvertedResidualV3(nn.Module):
    """The block of V3: like V2's, with squeeze-and-excite before the projection where the table asks for it."""

    def __init__(self, architecture: Architecture, before: int, block: Block, size: Size) -> None:
        super().__init__()
        then = block.activation if architecture.squeeze_first and block.squeeze and block.expands else "none"
        layers = _expand_and_filter(architecture, before, block, size, activates=then == "none")
        if block.squeeze:
            layers.append(SqueezeExcite(block.expanded, block.squeeze, then))
        layers.append(conv_bn(architecture, Shape(block.expanded, block.out), size))
        self.block = nn.Sequential(*layers)
        self.has_residual = _has_residual(architecture, before, block)

    def forward(self, x: Tensor) -> Tensor:
        """[N, I, H, W] -> [N, O, H / stride, W / stride]."""
        y: Tensor = self.block(x)
        return x + y if self.has_residual else y
