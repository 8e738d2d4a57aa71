"""A 1x1 convolution on a feature map: numbers for every place, as of a coarse mask or a heat map."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from edgekit.errors import ConfigError
from edgekit.models.heads import Head

if TYPE_CHECKING:
    from edgekit.models.backbone import FeatureMap


class ConvolutionHead(Head, nn.Conv2d):
    """[N, C, H, W] -> [N, channels, H, W].

    Args:
        takes: the feature map.
        channels: how many numbers each place gets.

    Raises:
        ConfigError: ``takes`` is the mean over all places.
    """

    def __init__(self, takes: FeatureMap, channels: int) -> None:
        if takes.stride is None:
            raise ConfigError(f"a convolution needs a feature map, and {takes.module} is the mean over all places")
        super().__init__(takes.channels, channels, 1)
        self.takes = (takes,)
