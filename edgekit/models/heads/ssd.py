"""Boxes and scores from feature maps of falling size: SSD (arXiv:1512.02325) and SSDLite (arXiv:1801.04381, 6.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from edgekit.models.blocks import Shape, activate, conv, size_behind
from edgekit.models.heads import Head

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.models.architecture import PaddingStyle, Size
    from edgekit.models.backbone import FeatureMap
    from edgekit.models.head_specs import SsdSpec

_CODING = 4  # numbers of a box


class SsdHead(Head):
    """Feature maps -> codings of boxes [N, A, 4], and logits [N, A, 1 + classes].

    Predictors are 3 x 3 convolutions, as in SSD's paper; separable ones a depthwise 3 x 3 one with batch normalization
    and ReLU6, and a 1 x 1 one, as torchvision has them. Each further map is a 1 x 1 convolution to half of its channels
    and a 3 x 3 one of stride 2, both with batch normalization and ReLU6.

    Args:
        spec: what it looks like.
        takes: the backbone's maps.
        padding: of all convolutions.
        size: height and width of the image, in pixels.
    """

    def __init__(self, spec: SsdSpec, takes: Sequence[FeatureMap], padding: PaddingStyle, size: Size) -> None:
        super().__init__()
        self.takes = tuple(takes)
        self._spec, self._padding = spec, padding
        self.extra = nn.ModuleList()
        channels = [one.channels for one in takes]
        height, width = size
        size = -(-height // spec.strides[-1]), -(-width // spec.strides[-1])
        for after in spec.extras:
            self.extra.append(self._further(channels[-1], after, size))
            channels.append(after)
            size = size_behind(size, 2)
        counts = [len(level.shapes) for level in spec.priors.levels]
        pairs = list(zip(channels, counts, strict=True))
        self.boxes = nn.ModuleList(self._predictor(before, count * _CODING) for before, count in pairs)
        self.scores = nn.ModuleList(self._predictor(before, count * (1 + spec.things)) for before, count in pairs)

    def forward(self, *taken: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        maps = list(taken)
        for further in self.extra:
            maps.append(further(maps[-1]))
        return _rows(self.boxes, maps, _CODING), _rows(self.scores, maps, 1 + self._spec.things)

    def _further(self, before: int, after: int, size: Size) -> nn.Sequential:
        within = after // 2
        layers = [self._layer(Shape(before, within), size)]
        if self._spec.separable:
            layers.append(self._layer(Shape(within, within, 3, 2, groups=within), size))
            layers.append(self._layer(Shape(within, after), size))
        else:
            layers.append(self._layer(Shape(within, after, 3, 2), size))
        return nn.Sequential(*layers)

    def _predictor(self, before: int, after: int) -> nn.Module:
        if self._spec.separable:
            depthwise = self._layer(Shape(before, before, 3, groups=before), (1, 1))
            return nn.Sequential(depthwise, nn.Conv2d(before, after, 1))
        return nn.Conv2d(before, after, 3, padding=1)

    def _layer(self, shape: Shape, size: Size) -> nn.Sequential:
        norm = nn.BatchNorm2d(shape.after, eps=self._spec.bn_eps)
        return nn.Sequential(conv(shape, size, self._padding), norm, activate("relu6"))


def _rows(predictors: nn.ModuleList, maps: Sequence[Tensor], numbers: int) -> Tensor:
    """What predictors say of their maps: [N, A, numbers], by map, row, column and box."""
    rows = [
        predictor(one).permute(0, 2, 3, 1).reshape(one.shape[0], -1, numbers)
        for predictor, one in zip(predictors, maps, strict=True)
    ]
    return torch.cat(rows, 1)
