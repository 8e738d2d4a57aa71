"""DeepLabV3 (arXiv:1706.05587), with the names of torchvision's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgekit.models.heads import Head

if TYPE_CHECKING:
    from edgekit.models.backbone import FeatureMap
    from edgekit.models.head_specs import DeepLabSpec

_DROPOUT = 0.5  # torchvision's; only training sees it


class DeepLabHead(Head, nn.Sequential):
    """The last map [N, C, h, w] -> logits [N, classes, h, w].

    Args:
        spec: what it looks like.
        last: the last map.
    """

    def __init__(self, spec: DeepLabSpec, last: FeatureMap) -> None:
        layers: list[nn.Module] = [_Pyramid(spec, last.channels)]
        if spec.refines:
            layers += _layer(spec, nn.Conv2d(spec.channels, spec.channels, 3, padding=1, bias=False))
        super().__init__(*layers, nn.Conv2d(spec.channels, spec.things, 1))
        self.takes = (last,)


class _Pyramid(nn.Module):
    """Atrous spatial pyramid pooling: branches side by side, and a 1 x 1 convolution of all."""

    def __init__(self, spec: DeepLabSpec, before: int) -> None:
        super().__init__()
        after = spec.channels
        branches = [
            nn.Sequential(*_layer(spec, nn.Conv2d(before, after, 1, bias=False))),
            *(nn.Sequential(*_atrous(spec, before, rate)) for rate in spec.rates),
            _Pooled(nn.AdaptiveAvgPool2d(1), *_layer(spec, nn.Conv2d(before, after, 1, bias=False))),
        ]
        self.convs = nn.ModuleList(branches)
        projection = nn.Conv2d(len(branches) * after, after, 1, bias=False)
        self.project = nn.Sequential(*_layer(spec, projection), nn.Dropout(_DROPOUT))

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, h, w] -> [N, channels, h, w]."""
        y: Tensor = self.project(torch.cat([branch(x) for branch in self.convs], 1))
        return y


class _Pooled(nn.Sequential):
    """What layers make of the mean over all places, at every place."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, h, w] -> [N, channels, h, w]."""
        y = x
        for layer in self:
            y = layer(y)
        # Between copies of one number, interpolation gives that number, and does so exactly in integers, too.
        return functional.interpolate(y, size=x.shape[2:], mode="bilinear", align_corners=False)


def _layer(spec: DeepLabSpec, convolution: nn.Conv2d) -> list[nn.Module]:
    return [convolution, nn.BatchNorm2d(convolution.out_channels, eps=spec.bn_eps), nn.ReLU()]


def _atrous(spec: DeepLabSpec, before: int, rate: int) -> list[nn.Module]:
    """A 3 x 3 convolution that reaches ``rate`` places to each side."""
    if not spec.separable:
        return _layer(spec, nn.Conv2d(before, spec.channels, 3, padding=rate, dilation=rate, bias=False))
    filters = nn.Conv2d(before, before, 3, padding=rate, dilation=rate, groups=before, bias=False)
    return _layer(spec, filters) + _layer(spec, nn.Conv2d(before, spec.channels, 1, bias=False))
