"""Linear layers on the mean over all places: logits of classes, numbers to be regressed, an embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from edgekit.models.blocks import activate
from edgekit.models.heads import Head

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.models.architecture import HeadActivation
    from edgekit.models.backbone import FeatureMap

DROPOUT = 0.2  # torchvision's for V2 and V3; only training sees it


class LinearHead(Head, nn.Sequential):
    """[N, C] or [N, C, H, W] -> [N, channels].

    Args:
        takes: the backbone's mean over all places; or a feature map, of which the head takes the mean itself.
        channels: how many numbers come out.
        hidden: channels of each linear layer before the last, and the function behind it.
    """

    def __init__(self, takes: FeatureMap, channels: int, hidden: Sequence[tuple[int, HeadActivation]] = ()) -> None:
        layers: list[nn.Module] = [] if takes.stride is None else [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        before = takes.channels
        for after, activation in hidden:
            layers += [nn.Linear(before, after), activate(activation)]
            before = after
        super().__init__(*layers, nn.Dropout(DROPOUT), nn.Linear(before, channels))
        self.takes = (takes,)
