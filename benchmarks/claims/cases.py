"""Every operator in every form, as people write it in torch, with the inputs that it is tried on.

A form stands alone: what it reads is made by convolutions of its own, each of which gives channels of the input another
scale and zero point, and does nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.random import Generator
    from numpy.typing import NDArray

    from edgekit.calibration.ranges import Range

    Stored = NDArray[np.int8]
    Inputs = Callable[[Generator, int, tuple[int, ...]], Stored]
    Function = Callable[..., torch.Tensor]

INT8 = np.arange(-128, 128).astype(np.int8)
# Two values may be left out when a convolution of 7-bit weights gives a channel another scale: no fraction with an odd
# denominator is 1 / 64, and the nearest stretches 256 values by one or two.
PAIRS = "254² pairs and more"
VALUES = "254 values and more"
EXTREMES = "extremes, noise"
OPERANDS = "operands."  # how the names of what makes operands begin, in ``Forms``


@dataclass(frozen=True, slots=True)
class Case:
    """An operator.

    Attributes:
        name: as ``edgekit.ir`` has it, or as people know it.
        shape: of one operand, [C, H, W].
        forms: modules that take the operands, by what is said of them.
        operands: how many it reads.
        tried: which inputs it is given.
    """

    name: str
    shape: tuple[int, int, int]
    forms: Mapping[str, Callable[[], nn.Module]]
    operands: int = 1
    tried: str = EXTREMES

    def stored(self, random: Generator) -> Stored:
        """Inputs [N, operands * C, H, W]; those of an operand stand behind one another."""
        return _INPUTS[self.tried](random, self.operands, self.shape)


class Forms(nn.Module):
    """All forms of a case beside each other, each with operands of its own; it gives {"form_0": ..., ...}.

    Args:
        case: the operator.
        reach: the lowest and highest input; the operands' ranges have a 0 in them.
        random: decides their scales and zero points.
    """

    def __init__(self, case: Case, reach: Range, random: Generator) -> None:
        super().__init__()
        self.forms = nn.ModuleList(make() for make in case.forms.values())
        self.operands = nn.ModuleList(
            nn.ModuleList(_operand(case, i, reach, random) for i in range(case.operands)) for _ in case.forms
        )

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """What every form makes of [N, operands * C, H, W]."""
        return {
            f"form_{i}": form(*(operand(x) for operand in operands))  # type: ignore[attr-defined] # a list of modules
            for i, (form, operands) in enumerate(zip(self.forms, self.operands, strict=True))
        }


def _operand(case: Case, index: int, reach: Range, random: Generator) -> nn.Conv2d:
    """The channels of one operand, under a scale and zero point of their own."""
    channels = case.shape[0]
    copy = nn.Conv2d(case.operands * channels, channels, 1)
    with torch.no_grad():
        gain = float(np.exp(random.uniform(-2, 2)))
        rows = torch.eye(case.operands * channels)[index * channels : (index + 1) * channels]
        copy.weight.copy_(gain * rows[:, :, None, None])
        copy.bias.fill_(gain * random.uniform(-0.9 * reach.high, -0.9 * reach.low))  # type: ignore[union-attr] # it has one
    return copy


@dataclass(frozen=True, slots=True)
class Of:
    """A form that is a function of its operands.

    Attributes:
        function: of tensors.
    """

    function: Function

    def __call__(self) -> nn.Module:
        """The module."""
        return _Computed(self.function)


class _Computed(nn.Module):
    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function

    def forward(self, *operands: torch.Tensor) -> torch.Tensor:
        return self.function(*operands)


# --- inputs ---------------------------------------------------------------------------------------------------------


def _pairs(_: Generator, operands: int, shape: tuple[int, ...]) -> Stored:
    """Each value of the first operand with each of the others: channels are 256 by 256."""
    a, b = np.meshgrid(INT8, INT8)
    given = np.stack([a, *[b] * (operands - 1)]).repeat(shape[0], 0)
    return given[None].copy()


def _values(random: Generator, operands: int, shape: tuple[int, ...]) -> Stored:
    """Each value somewhere in each channel."""
    return np.stack([random.permutation(INT8).reshape(shape[1:]) for _ in range(operands * shape[0])])[None]


def _extremes(random: Generator, operands: int, shape: tuple[int, ...]) -> Stored:
    """Noise, all -128, all 127, only these two, blotches, and channels that are all the same."""
    given = random.integers(-128, 128, (8, operands * shape[0], *shape[1:]))
    given[0], given[1] = -128, 127
    given[2] = np.where(given[2] < 0, -128, 127)
    given[3] = np.where(given[3] < 0, -128, 127)
    given[4] //= 16
    given[5] = given[5][:, :1, :1]
    return given.astype(np.int8)


_INPUTS: Mapping[str, Inputs] = {PAIRS: _pairs, VALUES: _values, EXTREMES: _extremes}


# --- modules --------------------------------------------------------------------------------------------------------


class Scaled(nn.Module):
    """Batch normalization that has seen something, in front of a form or by itself."""

    def __init__(self, channels: int, *before: nn.Module) -> None:
        super().__init__()
        self.before = nn.Sequential(*before)
        self.norm = nn.BatchNorm2d(channels)
        with torch.no_grad():
            self.norm.running_mean.normal_()  # type: ignore[union-attr] # it has one
            self.norm.running_var.uniform_(0.5, 2)  # type: ignore[union-attr] # likewise
            self.norm.weight.normal_()
            self.norm.bias.normal_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, C, H, W]."""
        return self.norm(self.before(x))  # type: ignore[no-any-return] # a tensor


class Gated(nn.Module):
    """One number a channel with a map; the second operand holds it everywhere."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function, self.pool = function, nn.AdaptiveAvgPool2d(1)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """[N, C, H, W]."""
        return self.function(a, self.pool(b))


class Placed(nn.Module):
    """One number a place with a map; a convolution of the second operand gives it."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function, self.narrow = function, nn.Conv2d(6, 1, 1)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """[N, C, H, W]."""
        return self.function(a, self.narrow(b))


class Last(nn.Module):
    """A layer on 2 places with half of the channels each, which are the last axis."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, C, 1, 1] -> [N, 2, 1, out]."""
        return self.layer(x.reshape(1, x.shape[1] // 2, 2, 1).permute(0, 2, 3, 1))  # type: ignore[no-any-return] # a tensor


class Twice(nn.Module):
    """Something that takes nothing in of what stands behind it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, C, H, W] -> [N, 2 C, H, W]."""
        return torch.cat([x, x], 1)


class Constant(nn.Module):
    """One number a channel that belongs to the network."""

    def __init__(self, function: Function, channels: int) -> None:
        super().__init__()
        self.function, self.values = function, nn.Parameter(torch.randn(1, channels, 1, 1))

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """[N, C, H, W]."""
        return self.function(a + b, self.values)


class Gate(nn.Module):
    """Squeeze-and-excite with a sigmoid, as EfficientNet has it."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 2, 1), nn.SiLU(), nn.Conv2d(2, 4, 1), nn.Sigmoid()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, 4, H, W]."""
        return x * self.gate(x)  # type: ignore[no-any-return] # a tensor


def _prelu(low: float, high: float) -> nn.Module:
    """One slope a channel."""
    prelu = nn.PReLU(8)
    with torch.no_grad():
        prelu.weight.uniform_(low, high)
    return prelu


def _conv(out: int, kernel: int | tuple[int, int], **attributes: Any) -> Callable[[], nn.Module]:  # noqa: ANN401 - torch's own
    return lambda: nn.Conv2d(8, out, kernel, **attributes)


def _resized(mode: str, **attributes: Any) -> Callable[[], nn.Module]:  # noqa: ANN401 - torch's own
    return lambda: nn.Upsample(mode=mode, **attributes)


def _net(*layers: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """A form of several layers."""
    return lambda: nn.Sequential(*(make() for make in layers))


CASES = (
    Case(
        "Conv2d",
        (8, 13, 14),
        {
            "1 × 1": _conv(12, 1),
            "1 × 1, stride 2": _conv(12, 1, stride=2),
            "3 × 3": _conv(12, 3),
            "3 × 3, padding 1": _conv(12, 3, padding=1),
            "3 × 3, stride 2, padding 1": _conv(12, 3, stride=2, padding=1),
            "3 × 3, stride 1 × 2": _conv(12, 3, stride=(1, 2), padding=1),
            "5 × 5, padding same": _conv(12, 5, padding="same"),
            "7 × 7, stride 2, padding 3": _conv(12, 7, stride=2, padding=3),
            "1 × 5, padding 0 × 2": _conv(12, (1, 5), padding=(0, 2)),
            "3 × 3, dilation 2": _conv(12, 3, dilation=2, padding=2),
            "depthwise 3 × 3, padding 1": _conv(8, 3, groups=8, padding=1),
            "depthwise 3 × 3, stride 2": _conv(8, 3, groups=8, stride=2, padding=1),
            "depthwise 5 × 5, dilation 2": _conv(8, 5, groups=8, dilation=2, padding=4),
            "2 groups": _conv(12, 3, groups=2, padding=1),
            "4 groups, stride 2": _conv(8, 3, groups=4, stride=2, padding=1),
            "depthwise, two outputs a channel": _conv(16, 3, groups=8, padding=1),
            "one output channel": _conv(1, 3),
            "with ReLU": _net(_conv(12, 3), nn.ReLU),
            "with ReLU6": _net(_conv(12, 3), nn.ReLU6),
        },
    ),
    Case(
        "TransposedConv2d",
        (8, 7, 8),
        {
            "2 × 2, stride 2": lambda: nn.ConvTranspose2d(8, 12, 2, 2),
            "4 × 4, stride 2, padding 1": lambda: nn.ConvTranspose2d(8, 12, 4, 2, 1),
            "3 × 3, stride 2, padding 1, one row and column more": lambda: nn.ConvTranspose2d(8, 12, 3, 2, 1, 1),
            "3 × 3, stride 2": lambda: nn.ConvTranspose2d(8, 12, 3, 2),
            "depthwise 4 × 4, stride 2, padding 1": lambda: nn.ConvTranspose2d(8, 8, 4, 2, 1, groups=8),
            "with ReLU6": _net(lambda: nn.ConvTranspose2d(8, 12, 2, 2), nn.ReLU6),
        },
    ),
    Case(
        "Linear",
        (96, 1, 1),
        {
            "": _net(nn.Flatten, lambda: nn.Linear(96, 40)),
            "at every place, channels last": lambda: Last(nn.Linear(48, 20)),
        },
    ),
    Case(
        "Mean",
        (8, 14, 14),
        {
            "axes kept": lambda: nn.AdaptiveAvgPool2d(1),
            "axes dropped": Of(lambda x: x.mean((2, 3))),
            "of channels": Of(lambda x: x.mean(1, keepdim=True)),
            "of rows": Of(lambda x: x.mean(2, keepdim=True)),
        },
    ),
    Case(
        "AveragePool2d",
        (8, 13, 14),
        {
            "2 × 2, stride 2": lambda: nn.AvgPool2d(2),
            "3 × 3, padding 1 that counts": lambda: nn.AvgPool2d(3, 1, 1),
            "3 × 3, stride 2, padding 1 that does not": lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False),
            "3 × 2, beyond the end": lambda: nn.AvgPool2d((3, 2), 2, ceil_mode=True),
        },
    ),
    Case(
        "Add",
        (1, 256, 256),
        {
            "equal shapes": Of(torch.add),
            "with ReLU": Of(lambda a, b: functional.relu(a + b)),
            "a difference": Of(torch.sub),
        },
        operands=2,
        tried=PAIRS,
    ),
    Case(
        "Add, repeated",
        (6, 16, 16),
        {
            "a number a channel": lambda: Gated(torch.add),
            "a number a place": lambda: Placed(torch.add),
            "a constant": Of(lambda a, b: a * b + 0.7),
            "a constant a channel": lambda: Constant(torch.add, 6),
        },
        operands=2,
    ),
    Case("Mul", (1, 256, 256), {"equal shapes": Of(torch.mul)}, operands=2, tried=PAIRS),
    Case(
        "Mul, repeated",
        (6, 16, 16),
        {
            "a number a channel": lambda: Gated(torch.mul),
            "a number a place": lambda: Placed(torch.mul),
            "a constant": Of(lambda a, b: (a + b) * 0.7),
            "a constant below 0": Of(lambda a, b: (a + b) * -1.3),
            "a constant a channel": lambda: Constant(torch.mul, 6),
        },
        operands=2,
    ),
    Case(
        "Pad",
        (8, 13, 14),
        {
            "zeros on every side another number": lambda: nn.ZeroPad2d((1, 2, 0, 3)),
            "channels of zeros": Of(lambda x: functional.pad(x, (0, 0, 0, 0, 1, 4))),
            "reflected": lambda: nn.ReflectionPad2d((1, 2, 0, 1)),
            "repeated": lambda: nn.ReplicationPad2d(1),
        },
    ),
    Case(
        "MaxPool2d",
        (8, 14, 13),
        {
            "3 × 3, stride 2": lambda: nn.MaxPool2d(3, 2),
            "3 × 3, stride 2, rounded up": lambda: nn.MaxPool2d(3, 2, ceil_mode=True),
            "3 × 3, stride 2, padding 1": lambda: nn.MaxPool2d(3, 2, 1),
            "5 × 5, stride 1, padding 2": lambda: nn.MaxPool2d(5, 1, 2),
            "2 × 2, stride 3": lambda: nn.MaxPool2d(2, 3),
            "behind ReLU": Of(lambda x: functional.max_pool2d(x.relu(), 3, 2, 1)),
            "of everything": lambda: nn.AdaptiveMaxPool2d(1),
            "of channels": Of(lambda x: x.amax(1, keepdim=True)),
        },
    ),
    Case(
        "Rearrange",
        (16, 6, 8),
        {
            "Flatten": nn.Flatten,
            "to rows": Of(lambda x: x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, 4)),
            "channels last": Of(lambda x: x.permute(0, 2, 3, 1)),
            "channel shuffle": lambda: nn.ChannelShuffle(4),
            "depth to space": lambda: nn.PixelShuffle(2),
            "space to depth": lambda: nn.PixelUnshuffle(2),
            "rows for columns": Of(lambda x: x.transpose(2, 3)),
        },
    ),
    Case(
        "Concat",
        (4, 13, 14),
        {
            "of channels": Of(lambda a, b: torch.cat([a, b], 1)),
            "of columns": Of(lambda a, b: torch.cat([a, b], 3)),
            "of rows of a head": Of(
                lambda a, b: torch.cat([x.permute(0, 2, 3, 1).reshape(1, -1, 2) for x in (a, b)], 1)
            ),
            "of seven": Of(lambda a, b: torch.cat([a, b, a, a, b, b, a], 1)),
        },
        operands=2,
    ),
    Case(
        "Slice",
        (8, 14, 12),
        {
            "of channels": Of(lambda x: x[:, 2:7]),
            "every second channel": Of(lambda x: x[:, 1::2]),
            "a crop": Of(lambda x: x[:, :, 2:-2, 3:]),
            "every second pixel": Of(lambda x: x[..., ::2, 1::2]),
            "of the rows of a head": Of(lambda x: x.permute(0, 2, 3, 1).reshape(1, -1, 8)[:, 5:60, :4]),
        },
    ),
    Case(
        "BatchNorm",
        (8, 13, 14),
        {
            "behind a convolution": lambda: Scaled(12, nn.Conv2d(8, 12, 3)),
            "behind a concatenation": lambda: Scaled(16, Twice()),
            "in front of a convolution": _net(lambda: Scaled(8), lambda: nn.Conv2d(8, 12, 3)),
            "between ReLUs": _net(nn.ReLU, lambda: Scaled(8), nn.ReLU),
        },
    ),
    Case(
        "Clamp",
        (8, 13, 14),
        {
            "behind a convolution": _net(_conv(12, 3), lambda: nn.Hardtanh(-1, 2)),
            "behind a mean": _net(lambda: nn.AdaptiveAvgPool2d(1), nn.ReLU),
            "behind a concatenation": _net(Twice, lambda: nn.Hardtanh(-0.7, 0.9)),
            "ReLU behind a concatenation": _net(Twice, nn.ReLU),
        },
    ),
    Case(
        "LeakyReLU",
        (8, 13, 14),
        {
            "behind a convolution": _net(_conv(12, 3), lambda: nn.LeakyReLU(0.1)),
            "by itself": lambda: nn.LeakyReLU(0.2),
        },
    ),
    Case(
        "PReLU",
        (8, 13, 14),
        {
            "slopes up to 1": lambda: _prelu(-0.5, 1),
            "slopes on both sides of 1": lambda: _prelu(0, 2),
        },
    ),
    Case(
        "HardSwish",
        (8, 16, 16),
        {"in front of a convolution": _net(nn.Hardswish, _conv(8, 1)), "alone": nn.Hardswish},
    ),
    Case(
        "HardSigmoid",
        (8, 16, 16),
        {
            "between convolutions": _net(_conv(8, 1), nn.Hardsigmoid, _conv(8, 1)),
            "behind a concatenation": _net(Twice, nn.Hardsigmoid),
        },
    ),
    Case("Sigmoid", (4, 16, 16), {"": nn.Sigmoid, "squeeze-and-excite": Gate}),
    Case("SiLU", (4, 16, 16), {"": nn.SiLU}),
    Case("Softmax", (4, 16, 16), {"of channels": lambda: nn.Softmax(1)}),
    Case(
        "Resize",
        (4, 16, 16),
        {
            "nearest, by 2": _resized("nearest", scale_factor=2),
            "nearest, by 3 × 1": _resized("nearest", scale_factor=(3, 1)),
            "nearest, to a size": _resized("nearest", size=(32, 80)),
            "bilinear, by 2": _resized("bilinear", scale_factor=2),
            "bilinear, by 4 × 2": _resized("bilinear", scale_factor=(4, 2)),
            "bilinear, by 8": _resized("bilinear", scale_factor=8),
            "bilinear, down by 2": _resized("bilinear", scale_factor=0.5),
            "bilinear, by 3": _resized("bilinear", scale_factor=3),
            "bilinear, to a size": _resized("bilinear", size=(24, 40)),
            "bilinear, by 2, corners aligned": _resized("bilinear", scale_factor=2, align_corners=True),
        },
    ),
)
