"""The MobileNetV2 for images of 32 x 32 of github.com/kuangliu/pytorch-cifar (models/mobilenetv2.py).

Its first block expands, too, though by 1, and blocks without stride that change the channels add their input through a
1x1 convolution. It has ReLU, and no stride in the stem and in the second stage.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Unpack

from torch import Tensor, nn

from edgekit.models.architecture import Options
from edgekit.models.blocks import Shape, activate, conv, conv_bn, depthwise, has_residual
from edgekit.models.families.mobilenet_v1 import CIFAR, RELU
from edgekit.models.families.mobilenet_v2 import mobilenet_v2
from edgekit.models.families.registry import Family
from edgekit.models.naming import Naming, own_forms
from edgekit.models.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Collection

    from edgekit.models.architecture import Architecture, Block, Part, Size
    from edgekit.models.wiring import Names


def mobilenet_v2_kuangliu(width: float = 1.0, num_classes: int = 10, **options: Unpack[Options]) -> Architecture:
    """A V2 for images of 32 x 32 whose every block without stride has a shortcut."""
    usual = mobilenet_v2(width, num_classes, cifar_stem=True, activation="relu")
    before, blocks = usual.stem_channels, []
    for block in usual.blocks:
        blocks.append(replace(block, expands=True, shortcut=block.stride == 1 and block.out != before))
        before = block.out
    own = replace(usual, family="mobilenet_v2_kuangliu", blocks=tuple(blocks), cifar_stem=False)
    return own.with_options(**options)


class ShortcutResidual(nn.Module):
    """An inverted residual that adds its input wherever it has no stride."""

    def __init__(self, architecture: Architecture, before: int, block: Block, size: Size) -> None:
        super().__init__()
        eps = architecture.bn_eps
        self.conv1 = nn.Conv2d(before, block.expanded, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(block.expanded, eps=eps)
        self.act1 = activate(block.activation)
        self.conv2 = conv(depthwise(block), size, architecture.padding)
        self.bn2 = nn.BatchNorm2d(block.expanded, eps=eps)
        self.act2 = activate(block.activation)
        self.conv3 = nn.Conv2d(block.expanded, block.out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(block.out, eps=eps)
        self.shortcut = conv_bn(architecture, Shape(before, block.out), size) if block.shortcut else None
        self.has_residual = not block.shortcut and has_residual(architecture, before, block)

    def forward(self, x: Tensor) -> Tensor:
        """[N, I, H, W] -> [N, O, H / stride, W / stride]."""
        y = self.act1(self.bn1(self.conv1(x)))
        y = self.act2(self.bn2(self.conv2(y)))
        z: Tensor = self.bn3(self.conv3(y))
        if self.shortcut is not None:
            z = z + self.shortcut(x)
        return z + x if self.has_residual else z


def _parts(block: str, has: Collection[Part]) -> dict[Part, Names]:
    names: dict[Part, Names] = {
        "expand": (f"{block}.conv1", f"{block}.bn1"),
        "depthwise": (f"{block}.conv2", f"{block}.bn2"),
        "project": (f"{block}.conv3", f"{block}.bn3"),
    }
    if "shortcut" in has:
        names["shortcut"] = f"{block}.shortcut.0", f"{block}.shortcut.1"
    return names


_ALWAYS: frozenset[Part] = frozenset(("expand", "depthwise", "project"))
WIRING = Wiring(
    name="mobilenet_v2_kuangliu",
    block=ShortcutResidual,
    parts=_parts,
    mark="conv3",
    forms=(_ALWAYS | {"shortcut"}, _ALWAYS),
)
_USUAL = Options(**RELU, resolution=32)

KUANGLIU = Naming(
    "kuangliu's MobileNetV2 for CIFAR-10",
    WIRING,
    ("conv1", "bn1"),
    own_forms(WIRING, "layers.{i}"),
    ("conv2", "bn2"),
    usual=_USUAL,
    family="mobilenet_v2_kuangliu",
    normalization=CIFAR,
)

# Networks that edgekit saved without metadata.
EDGEKIT = Naming(
    "MobileNetV2 state dict, with shortcuts",
    WIRING,
    ("features.0.0", "features.0.1"),
    own_forms(WIRING, "features.{n}"),
    ("features.{last}.0", "features.{last}.1"),
    usual=_USUAL,
    normalization=CIFAR,
)

FAMILY = Family("mobilenet_v2_kuangliu", mobilenet_v2_kuangliu, WIRING, (KUANGLIU, EDGEKIT))
