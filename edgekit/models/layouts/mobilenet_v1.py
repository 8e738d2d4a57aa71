"""MobileNetV1, which torchvision does not have, under the names of ``edgekit.models.network``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.models.layouts.names import Renamed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


def recognises(weights: Mapping[str, Tensor]) -> bool:
    """Whether the names are edgekit's for V1."""
    return "conv1.0.weight" in weights and "features.0.depthwise.weight" in weights


def rename(weights: Mapping[str, Tensor]) -> Renamed:
    """The weights as they are. Published V1 weights were trained in TensorFlow, so its constants are the default."""
    return Renamed("MobileNetV1 state dict", weights, "same", 1e-3)
