"""What stands on a backbone: heads, one kind a file, and the finding of a trained one among a checkpoint's weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from edgekit.models.backbone import FeatureMap


class Head(nn.Module):
    """Makes an output, or a tuple of some, from feature maps of a backbone.

    Attributes:
        takes: the feature maps that its ``forward`` is called with, in this order.
    """

    takes: tuple[FeatureMap, ...]
