"""MobileNetV2 (arXiv:1801.04381), under the names that edgekit and others give to its weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Unpack

from torch import Tensor, nn

from edgekit.models.architecture import Architecture, Block, Options, check_width, make_divisible
from edgekit.models.blocks import expand_and_filter, has_residual
from edgekit.models.families.registry import Family
from edgekit.models.naming import Naming, named, own_forms, pair, plain, wide
from edgekit.models.wiring import EXPANDING, Wiring

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from edgekit.models.architecture import Part, Size
    from edgekit.models.wiring import Names


@dataclass(frozen=True, slots=True)
class Row:
    """So many inverted residuals: side of the depthwise kernel, expansion, channels at width 1, stride of the first.

    Attributes:
        squeezes: with squeeze-and-excite of a quarter of the channels that a block gets.
    """

    kernel: int
    expansion: int
    channels: int
    repeats: int
    stride: int
    squeezes: bool = False


# Table 2.
_STEM = 32
_LAST = 1280
_ROWS = (
    Row(3, 1, 16, 1, 1),
    Row(3, 6, 24, 2, 2),
    Row(3, 6, 32, 3, 2),
    Row(3, 6, 64, 4, 2),
    Row(3, 6, 96, 3, 1),
    Row(3, 6, 160, 3, 2),
    Row(3, 6, 320, 1, 1),
)


def mobilenet_v2(width: float = 1.0, num_classes: int = 1000, **options: Unpack[Options]) -> Architecture:
    """MobileNetV2. The last convolution keeps its 1280 channels below width 1."""
    check_width(width)
    architecture = of_rows("mobilenet_v2", _ROWS, make_divisible(_STEM * width), width, num_classes)
    last = make_divisible(_LAST * max(1.0, width))
    return replace(architecture, head_channels=last).with_options(**options)


def of_rows(family: str, rows: Sequence[Row], stem: int, width: float, num_classes: int) -> Architecture:
    """A network of inverted residuals at a width, with all else as in V2 of width 1.

    Args:
        family: its name.
        rows: of its table.
        stem: channels of the first convolution.
        width: the multiplier of the rows' channels.
        num_classes: how many logits come out.
    """
    check_width(width)
    before, blocks = stem, []
    for row in rows:
        for index in range(row.repeats):
            out, stride = make_divisible(row.channels * width), row.stride if index == 0 else 1
            squeeze = round(before / 4) if row.squeezes else 0
            expands = row.expansion != 1
            blocks.append(Block(row.kernel, before * row.expansion, out, squeeze, "relu6", stride, expands))
            before = out
    return Architecture(
        family=family,
        width=width,
        num_classes=num_classes,
        resolution=224,
        in_channels=3,
        padding="symmetric",
        bn_eps=1e-5,
        stem_channels=stem,
        stem_stride=2,
        activation="relu6",
        blocks=tuple(blocks),
        head_channels=_LAST,
        hidden_channels=(),
    )


class InvertedResidual(nn.Module):
    """The block of V2: the projection's convolution and batch normalization are children of their own."""

    def __init__(self, architecture: Architecture, before: int, block: Block, size: Size) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            *expand_and_filter(architecture, before, block, size),
            nn.Conv2d(block.expanded, block.out, 1, bias=False),
            nn.BatchNorm2d(block.out, eps=architecture.bn_eps),
        )
        self.has_residual = has_residual(architecture, before, block)

    def forward(self, x: Tensor) -> Tensor:
        """[N, I, H, W] -> [N, O, H / stride, W / stride]."""
        y: Tensor = self.conv(x)
        return x + y if self.has_residual else y


def _parts(block: str, has: Collection[Part]) -> dict[Part, Names]:
    depthwise, project = (1, 2) if "expand" in has else (0, 1)
    names: dict[Part, Names] = {"expand": (f"{block}.conv.0.0", f"{block}.conv.0.1")} if "expand" in has else {}
    names["depthwise"] = f"{block}.conv.{depthwise}.0", f"{block}.conv.{depthwise}.1"
    names["project"] = f"{block}.conv.{project}", f"{block}.conv.{project + 1}"
    return names


WIRING = Wiring(name="mobilenet_v2", block=InvertedResidual, parts=_parts, mark="conv", forms=EXPANDING)

# torchvision/models/mobilenetv2.py; networks that edgekit saved without metadata have these names.
TORCHVISION = Naming(
    "torchvision state dict", WIRING, ("0.0", "0.1"), own_forms(WIRING, "{n}"), ("{last}.0", "{last}.1")
)


def _flat(block: str) -> tuple[dict[Part, Names], ...]:
    """A block as one Sequential: convolution, batch normalization and ReLU6 lie side by side."""
    return wide(pair(block, 0), pair(block, 3), pair(block, 6)), plain(pair(block, 0), pair(block, 3))


# github.com/d-li14/mobilenetv2.pytorch has the last convolution outside.
D_LI14 = Naming(
    "d-li14's MobileNetV2",
    WIRING,
    ("features.0.0", "features.0.1"),
    _flat("features.{n}.conv"),
    ("conv.0", "conv.1"),
)

# A stem of its own, blocks from 0, and a second convolution at the end, as in textbooks.
STEM = Naming(
    "MobileNetV2 state dict",
    WIRING,
    ("conv1.0", "conv1.1"),
    _flat("features.{i}.conv"),
    ("conv2.0", "conv2.1"),
)

# transformers/models/mobilenet_v2; the published weights come from TensorFlow.
HUGGING_FACE = Naming(
    "Hugging Face MobileNetV2",
    WIRING,
    named("conv_stem.first_conv", "convolution", "normalization"),
    (
        wide(
            *(
                named(f"layer.{{before}}.{part}", "convolution", "normalization")
                for part in ("expand_1x1", "conv_3x3", "reduce_1x1")
            )
        ),
    ),
    named("conv_1x1", "convolution", "normalization"),
    usual=Options(padding="same", bn_eps=1e-3),
    first=plain(
        named("conv_stem.conv_3x3", "convolution", "normalization"),
        named("conv_stem.reduce_1x1", "convolution", "normalization"),
    ),
)

# mmpretrain (mmcls) and mmdetection: mmpretrain/models/backbones/mobilenet_v2.py.
OPENMMLAB = Naming(
    "OpenMMLab's MobileNetV2",
    WIRING,
    named("conv1"),
    (
        wide(*(named(f"layer{{s}}.{{u0}}.conv.{part}") for part in (0, 1, 2))),
        plain(*(named(f"layer{{s}}.{{u0}}.conv.{part}") for part in (0, 1))),
    ),
    named("conv2"),
    stages=(1, 2, 3, 4, 3, 3, 1),
)

# github.com/osmr/pytorchcv.
PYTORCHCV = Naming(
    "pytorchcv's MobileNetV2",
    WIRING,
    named("features.init_block"),
    (
        wide(*(named(f"features.stage{{s}}.unit{{u}}.conv{part}") for part in (1, 2, 3))),
        plain(*(named(f"features.stage{{s}}.unit{{u}}.conv{part}") for part in (1, 2))),
    ),
    named("features.final_block"),
    stages=(1, 2, 3, 7, 4),
)

# github.com/tonylins/pytorch-mobilenet-v2, and torchvision until 0.2.
TONYLINS = Naming("tonylins' MobileNetV2", WIRING, ("0.0", "0.1"), _flat("{n}.conv"), ("{last}.0", "{last}.1"))

NAMINGS = (TORCHVISION, D_LI14, STEM, HUGGING_FACE, OPENMMLAB, PYTORCHCV, TONYLINS)
FAMILY = Family("mobilenet_v2", mobilenet_v2, WIRING, NAMINGS)
