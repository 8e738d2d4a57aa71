"""A classifier in the middle of a network: a separable convolution where there is one, and linear layers on the mean.

Features in the middle are made for the layers behind them. A convolution of its own lets an exit read them without
bending them to its needs (arXiv:1709.01686, section 3).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from torch import nn

from edgekit.models.blocks import Shape, conv_bn, size_behind
from edgekit.models.heads import Head
from edgekit.models.heads.linear import LinearHead

if TYPE_CHECKING:
    from edgekit.models.architecture import Architecture
    from edgekit.models.backbone import FeatureMap
    from edgekit.models.head_specs import ExitSpec

_STRIDE = 2


class ExitHead(Head, nn.Sequential):
    """[N, C, H, W] -> logits [N, classes], by a depthwise and a 1 x 1 convolution, and a ``LinearHead``.

    Args:
        spec: what it looks like.
        takes: the feature map.
        backbone: whose padding, activation and batch normalization the convolutions have.
    """

    def __init__(self, spec: ExitSpec, takes: FeatureMap, backbone: Architecture) -> None:
        assert takes.stride is not None, "the mean over all places is not convolved"
        size = size_behind(backbone.size, takes.stride)
        filtered = Shape(takes.channels, takes.channels, 3, _STRIDE, takes.channels)
        mixed = Shape(takes.channels, spec.convolved)
        coarse = replace(takes, channels=spec.convolved, stride=takes.stride * _STRIDE)
        super().__init__(
            conv_bn(backbone, filtered, size, backbone.activation),
            conv_bn(backbone, mixed, size_behind(size, _STRIDE), backbone.activation),
            LinearHead(coarse, spec.things, [(channels, spec.activation) for channels in spec.hidden]),
        )
        self.takes = (takes,)
