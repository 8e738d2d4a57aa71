"""Networks built from an architecture. State-dict keys of V2 and V3 equal torchvision's; torchvision has no V1."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from edgekit.models.blocks import DepthwiseSeparable, InvertedResidualV2, InvertedResidualV3, Shape, activate, conv_bn

if TYPE_CHECKING:
    from edgekit.models.architecture import Architecture, Size

DROPOUT = 0.2  # torchvision's for V2 and V3; only training sees it


class MobileNetV1(nn.Module):
    """MobileNetV1 (arXiv:1704.04861)."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.conv1, size = _stem(architecture)
        blocks = []
        for block in architecture.blocks:
            blocks.append(DepthwiseSeparable(architecture, block, size))
            size = _after(size, block.stride)
        self.features = nn.Sequential(*blocks)
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            *_head(architecture, architecture.blocks[-1].out),
        )
        _initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> logits [N, classes]."""
        logits: Tensor = self.classifier(self.features(self.conv1(x)))
        return logits


class _InvertedResiduals(nn.Module):
    """What V2 and V3 have in common: blocks of one kind, the mean over all places, and a head."""

    block: ClassVar[type[InvertedResidualV2 | InvertedResidualV3]]

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.features = _features(architecture, self.block)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(*_head(architecture, architecture.head_channels))
        _initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> logits [N, classes]."""
        logits: Tensor = self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))
        return logits


class MobileNetV2(_InvertedResiduals):
    """MobileNetV2 (arXiv:1801.04381)."""

    block = InvertedResidualV2


class MobileNetV3(_InvertedResiduals):
    """MobileNetV3 (arXiv:1905.02244), and smaller networks of its kind."""

    block = InvertedResidualV3


def build(architecture: Architecture) -> nn.Module:
    """The network, with random weights and in training mode.

    Where ``architecture.padding`` is "same", the borders are those of images of ``architecture.resolution``.
    """
    if architecture.family.startswith("mobilenet_v1"):
        return MobileNetV1(architecture)
    return MobileNetV2(architecture) if architecture.family == "mobilenet_v2" else MobileNetV3(architecture)


def _after(size: Size, stride: int) -> Size:
    """What is left of ``size`` behind a padded convolution."""
    height, width = size
    return math.ceil(height / stride), math.ceil(width / stride)


def _stem(architecture: Architecture) -> tuple[nn.Sequential, Size]:
    """The first convolution, and the size of what it gives."""
    shape = Shape(architecture.in_channels, architecture.stem_channels, kernel=3, stride=architecture.stem_stride)
    stem = conv_bn(architecture, shape, architecture.size, architecture.activation)
    return stem, _after(architecture.size, architecture.stem_stride)


def _features(architecture: Architecture, make: type[InvertedResidualV2 | InvertedResidualV3]) -> nn.Sequential:
    """Stem, blocks and the last 1x1 convolution."""
    stem, size = _stem(architecture)
    layers: list[nn.Module] = [stem]
    before = architecture.stem_channels
    for block in architecture.blocks:
        layers.append(make(architecture, before, block, size))
        before, size = block.out, _after(size, block.stride)
    layers.append(conv_bn(architecture, Shape(before, architecture.head_channels), size, architecture.activation))
    return nn.Sequential(*layers)


def _head(architecture: Architecture, channels: int) -> list[nn.Module]:
    """From pooled features to logits: hidden linear layers, each with its activation, dropout, and the last."""
    layers: list[nn.Module] = []
    for index, hidden in enumerate(architecture.hidden_channels):
        is_own = architecture.keeps_hidden and index == 0
        function = architecture.activation if is_own else architecture.head_activation or architecture.activation
        layers += [nn.Linear(channels, hidden), activate(function)]
        channels = hidden
    return [*layers, nn.Dropout(DROPOUT), nn.Linear(channels, architecture.num_classes)]


def _initialize(network: nn.Module) -> None:
    """Start values for training: He's for convolutions (arXiv:1502.01852), small ones for the classifier."""
    if next(network.parameters()).is_meta:  # there is nothing to fill, and asking torch to takes its time
        return
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.01)
            nn.init.zeros_(module.bias)
