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


def _conv(out: int, kernel: int | tuple[int, int], **attributes: Any) -> Callable[[], nn.Module]:  # noqa: ANN401 - torch's own
    return lambda: nn.Conv2d(8, out, kernel, **attributes)


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
            "one output channel": _conv(1, 3),
            "with ReLU": lambda: nn.Sequential(nn.Conv2d(8, 12, 3), nn.ReLU()),
            "with ReLU6": lambda: nn.Sequential(nn.Conv2d(8, 12, 3), nn.ReLU6()),
        },
    ),
    Case("Linear", (96, 1, 1), {"": lambda: nn.Sequential(nn.Flatten(), nn.Linear(96, 40))}),
    Case(
        "Mean",
        (8, 14, 14),
        {
            "axes kept": lambda: nn.AdaptiveAvgPool2d(1),
            "axes dropped": Of(lambda x: x.mean((2, 3))),
        },
    ),
    Case(
        "Add",
        (1, 256, 256),
        {"equal shapes": Of(torch.add), "with ReLU": Of(lambda a, b: functional.relu(a + b))},
        operands=2,
        tried=PAIRS,
    ),
    Case(
        "Mul",
        (1, 256, 256),
        {"equal shapes": Of(torch.mul)},
        operands=2,
        tried=PAIRS,
    ),
    Case("Pad", (8, 13, 14), {"zeros on every side another number": lambda: nn.ZeroPad2d((1, 2, 0, 3))}),
    Case(
        "Rearrange",
        (16, 6, 10),
        {
            "channel shuffle": lambda: nn.ChannelShuffle(4),
            "pixel shuffle": lambda: nn.PixelShuffle(2),
            "space to depth": lambda: nn.PixelUnshuffle(2),
            "rows of a head": Of(lambda x: x.permute(0, 2, 3, 1).reshape(1, -1, 8)),
            "rows of a head, its anchors first": Of(lambda x: x.view(1, 2, 8, -1).transpose(2, 3).reshape(1, -1, 8)),
            "flattened": nn.Flatten,
            "rows and columns exchanged": Of(lambda x: x.transpose(2, 3)),
        },
    ),
    Case("Concat", (4, 13, 14), {"of channels": Of(lambda a, b: torch.cat([a, b], 1))}, operands=2),
    Case("BatchNorm", (8, 13, 14), {"behind a convolution": lambda: Scaled(12, nn.Conv2d(8, 12, 3))}),
    Case(
        "Clamp", (8, 13, 14), {"behind a convolution": lambda: nn.Sequential(nn.Conv2d(8, 12, 3), nn.Hardtanh(-1, 2))}
    ),
    Case(
        "HardSwish",
        (4, 16, 16),
        {"in front of a convolution": lambda: nn.Sequential(nn.Hardswish(), nn.Conv2d(4, 4, 1))},
    ),
    Case(
        "HardSigmoid",
        (8, 16, 16),
        {"between convolutions": lambda: nn.Sequential(nn.Conv2d(8, 8, 1), nn.Hardsigmoid(), nn.Conv2d(8, 8, 1))},
    ),
    Case(
        "Sigmoid",
        (4, 16, 16),
        {"": nn.Sigmoid, "squeeze-and-excite": Gate},
        tried=EXTREMES,
    ),
    Case("SiLU", (4, 16, 16), {"": nn.SiLU}),
    Case(
        "Resize",
        (4, 6, 9),
        {
            "nearest, by 2": lambda: nn.Upsample(scale_factor=2),
            "nearest, by 3 × 8": lambda: nn.Upsample(scale_factor=(3, 8)),
            "bilinear, by 2": lambda: nn.Upsample(scale_factor=2, mode="bilinear"),
            "bilinear, by 4 × 8": lambda: nn.Upsample(scale_factor=(4, 8), mode="bilinear"),
            "bilinear, by 1/2 × 1": lambda: nn.Upsample((3, 9), mode="bilinear"),
            "bilinear, by 2, corners aligned": lambda: nn.Upsample((11, 17), mode="bilinear", align_corners=True),
            "bilinear, by 3": lambda: nn.Upsample(scale_factor=3, mode="bilinear"),
            "bilinear, to 10 × 13, corners aligned": lambda: nn.Upsample((10, 13), mode="bilinear", align_corners=True),
        },
    ),
)
