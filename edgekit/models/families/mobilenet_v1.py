"""MobileNetV1 (arXiv:1704.04861), under the names that edgekit and others give to its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from torch import Tensor, nn

from edgekit.models.architecture import Architecture, Block, Options, check_width
from edgekit.models.blocks import activate, conv, depthwise
from edgekit.models.families.registry import Family
from edgekit.models.naming import Naming, named, own_forms, pair, plain
from edgekit.models.wiring import SEPARABLE, Wiring

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from edgekit.models.architecture import Part, Size
    from edgekit.models.wiring import Names

# Table 1: output channels and stride of each depthwise separable block.
_STEM = 32
_ROWS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    (1024, 1),
)


def mobilenet_v1(width: float = 1.0, num_classes: int = 1000, **options: Unpack[Options]) -> Architecture:
    """MobileNetV1. Channels are cut off, not rounded, and at least 8 (slim's mobilenet_v1.py)."""
    return of_rows("mobilenet_v1", _ROWS, width, num_classes).with_options(**options)


def of_rows(family: str, rows: Sequence[tuple[int, int]], width: float, num_classes: int) -> Architecture:
    """A V1 of such blocks at a width.

    Args:
        family: its name.
        rows: output channels at width 1, and stride.
        width: the multiplier of all channels.
        num_classes: how many logits come out.
    """
    check_width(width)
    stem = before = max(8, int(_STEM * width))
    blocks = []
    for channels, stride in rows:
        out = max(8, int(channels * width))
        blocks.append(Block(3, before, out, 0, "relu6", stride, expands=False))
        before = out
    return Architecture(
        family=family,
        width=width,
        num_classes=num_classes,
        resolution=224,
        in_channels=3,
        padding="same",
        bn_eps=1e-3,
        stem_channels=stem,
        stem_stride=2,
        activation="relu6",
        blocks=tuple(blocks),
        head_channels=0,
        hidden_channels=(),
    )


class DepthwiseSeparable(nn.Module):
    """The block of V1: depthwise and 1x1 convolution, each with batch normalization and activation."""

    def __init__(self, architecture: Architecture, before: int, block: Block, size: Size) -> None:
        super().__init__()
        self.depthwise = conv(depthwise(block), size, architecture.padding)
        self.bn1 = nn.BatchNorm2d(before, eps=architecture.bn_eps)
        self.act1 = activate(block.activation)
        self.pointwise = nn.Conv2d(before, block.out, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(block.out, eps=architecture.bn_eps)
        self.act2 = activate(block.activation)

    def forward(self, x: Tensor) -> Tensor:
        """[N, I, H, W] -> [N, O, H / stride, W / stride]."""
        x = self.act1(self.bn1(self.depthwise(x)))
        y: Tensor = self.act2(self.bn2(self.pointwise(x)))
        return y


def _parts(block: str, has: Collection[Part]) -> dict[Part, Names]:  # noqa: ARG001 - a V1 has both, always
    return {
        "depthwise": (f"{block}.depthwise", f"{block}.bn1"),
        "project": (f"{block}.pointwise", f"{block}.bn2"),
    }


WIRING = Wiring(
    name="mobilenet_v1",
    block=DepthwiseSeparable,
    parts=_parts,
    mark="depthwise",
    forms=SEPARABLE,
    stem="conv1",
    first=0,
    has_last=False,
    pools_in_classifier=True,
)
# Published V1 weights were trained in TensorFlow, so its constants are the usual ones; people who wrote V1 in PyTorch
# chose ReLU, symmetric padding and an epsilon of 1e-5.
_TENSORFLOW = Options(padding="same", bn_eps=1e-3)
RELU = Options(padding="symmetric", bn_eps=1e-5, activation="relu")
CIFAR = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)  # mean and deviation of that set's 0..1 pixels

EDGEKIT = Naming(
    "MobileNetV1 state dict",
    WIRING,
    ("conv1.0", "conv1.1"),
    own_forms(WIRING, "features.{i}"),
    usual=Options(**_TENSORFLOW, activation="relu6"),
)

# transformers/models/mobilenet_v1.
HUGGING_FACE = Naming(
    "Hugging Face MobileNetV1",
    WIRING,
    named("conv_stem", "convolution", "normalization"),
    (
        plain(
            named("layer.{even}", "convolution", "normalization"),
            named("layer.{odd}", "convolution", "normalization"),
        ),
    ),
    usual=_TENSORFLOW,
)

# github.com/osmr/pytorchcv.
PYTORCHCV = Naming(
    "pytorchcv's MobileNet",
    WIRING,
    named("features.init_block"),
    (plain(named("features.stage{s}.unit{u}.dw_conv"), named("features.stage{s}.unit{u}.pw_conv")),),
    usual=RELU,
    stages=(1, 2, 2, 6, 2),
)

# github.com/kuangliu/pytorch-cifar: a stem of stride 1, for images of 32 x 32.
KUANGLIU = Naming(
    "kuangliu's MobileNet for CIFAR-10",
    WIRING,
    ("conv1", "bn1"),
    (plain(("layers.{i}.conv1", "layers.{i}.bn1"), ("layers.{i}.conv2", "layers.{i}.bn2")),),
    usual=Options(**RELU, resolution=32),
    stated=Options(stem_stride=1),
    normalization=CIFAR,
)

# github.com/marvis/pytorch-mobilenet, and its many copies.
SEQUENTIAL = Naming(
    "MobileNetV1 as one Sequential",
    WIRING,
    ("0.0", "0.1"),
    (plain(pair("{n}", 0), pair("{n}", 3)),),
    usual=RELU,
)


def qinzheng(blocks: int) -> Naming:
    """The names of github.com/qinzheng93/FD-MobileNet, which also has a V1, and a shallow one with other strides.

    Args:
        blocks: that the network has.
    """
    return Naming(
        "qinzheng93's MobileNets",
        WIRING,
        ("conv_0", "norm_0"),
        (plain(("dw_conv_{i}", "dw_norm_{i}"), ("pw_conv_{i}", "pw_norm_{i}")),),
        usual=RELU,
        blocks=blocks,
    )


FAMILY = Family(
    "mobilenet_v1",
    mobilenet_v1,
    WIRING,
    (EDGEKIT, HUGGING_FACE, PYTORCHCV, KUANGLIU, SEQUENTIAL, qinzheng(len(_ROWS))),
)
