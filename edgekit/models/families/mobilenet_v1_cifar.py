"""A MobileNetV1 for images of 32 x 32, as people write it for CIFAR-10: no stride in the stem, and eight blocks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Unpack

from edgekit.models.architecture import Options
from edgekit.models.families.mobilenet_v1 import CIFAR, EDGEKIT, RELU, WIRING, of_rows
from edgekit.models.families.registry import Family

if TYPE_CHECKING:
    from edgekit.models.architecture import Architecture

_ROWS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1))


def mobilenet_v1_cifar(width: float = 1.0, num_classes: int = 10, **options: Unpack[Options]) -> Architecture:
    """A MobileNetV1 of eight blocks for images of 32 x 32, with ReLU, as it is written in PyTorch."""
    small = replace(of_rows("mobilenet_v1_cifar", _ROWS, width, num_classes), stem_stride=1)
    return small.with_options(**Options(**RELU, resolution=32)).with_options(**options)


# The names of a V1, in a network of eight blocks.
NAMING = replace(
    EDGEKIT,
    source="MobileNetV1 state dict, for CIFAR",
    usual=RELU,
    family="mobilenet_v1_cifar",
    blocks=len(_ROWS),
    normalization=CIFAR,
)

FAMILY = Family("mobilenet_v1_cifar", mobilenet_v1_cifar, WIRING, (NAMING,))
