"""Lite R-ASPP (arXiv:1905.02244, figure 10), with the names and the pooling of torchvision's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional

from edgekit.errors import ConfigError
from edgekit.models.heads import Head

if TYPE_CHECKING:
    from edgekit.models.backbone import FeatureMap
    from edgekit.models.head_specs import LrasppSpec


class LrasppHead(Head):
    """A fine map [N, C, h, w] and the last one [N, C', h', w'] -> logits [N, classes, h, w].

    Args:
        spec: what it looks like.
        fine: the fine map.
        last: the last map.

    Raises:
        ConfigError: no whole number of places of the fine map makes one of the last map.
    """

    def __init__(self, spec: LrasppSpec, fine: FeatureMap, last: FeatureMap) -> None:
        super().__init__()
        if not fine.stride or not last.stride or last.stride % fine.stride:
            raise ConfigError(f"head {spec.name!r} cannot enlarge {last} to {fine}: take a map of a smaller stride")
        self.takes = (fine, last)
        self._factor = None if spec.stretches else last.stride // fine.stride
        self.cbr = nn.Sequential(
            nn.Conv2d(last.channels, spec.channels, 1, bias=False),
            nn.BatchNorm2d(spec.channels, eps=spec.bn_eps),
            nn.ReLU(),
        )
        self.scale = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(last.channels, spec.channels, 1, bias=False), nn.Sigmoid()
        )
        self.low_classifier = nn.Conv2d(fine.channels, spec.things, 1)
        self.high_classifier = nn.Conv2d(spec.channels, spec.things, 1)

    def forward(self, fine: Tensor, last: Tensor) -> Tensor:
        """See the class."""
        coarse = self._enlarged(self.cbr(last) * self.scale(last), fine)
        logits: Tensor = self.low_classifier(fine) + self.high_classifier(coarse)
        return logits

    def _enlarged(self, coarse: Tensor, fine: Tensor) -> Tensor:
        rows, columns = fine.shape[2:]
        size = (rows, columns) if self._factor is None else tuple(side * self._factor for side in coarse.shape[2:])
        larger = functional.interpolate(coarse, size=size, mode="bilinear", align_corners=False)
        return larger if size == (rows, columns) else larger[:, :, :rows, :columns]
