"""torchvision's MobileNetV2 and V3, and networks that edgekit saved without metadata: the names are edgekit's own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgekit.models.layouts.names import Renamed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

_V2_BLOCK = re.compile(r"features\.\d+\.conv\.\d+\.0\.weight")
_V3_BLOCK = re.compile(r"features\.\d+\.block\.\d+\.0\.weight")


def recognises(weights: Mapping[str, Tensor]) -> bool:
    """Whether the names are torchvision's."""
    return "features.0.0.weight" in weights and any(_V2_BLOCK.match(key) or _V3_BLOCK.match(key) for key in weights)


def rename(weights: Mapping[str, Tensor]) -> Renamed:
    """The weights as they are, with the constants of torchvision/models/mobilenetv2.py and mobilenetv3.py."""
    is_v3 = any(_V3_BLOCK.match(key) for key in weights)
    return Renamed("torchvision state dict", weights, "symmetric", 1e-3 if is_v3 else 1e-5)
