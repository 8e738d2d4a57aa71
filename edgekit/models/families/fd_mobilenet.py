"""FD-MobileNet (arXiv:1802.03750): V1's blocks, of which the first ones stride: the image is small at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from edgekit.models.architecture import Options
from edgekit.models.families.mobilenet_v1 import EDGEKIT, PYTORCHCV, RELU, WIRING, of_rows, qinzheng
from edgekit.models.families.registry import Family

if TYPE_CHECKING:
    from edgekit.models.architecture import Architecture

# Table 1.
_ROWS = (
    (64, 2),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *((512, 1),) * 4,
    (1024, 1),
)


def fd_mobilenet(width: float = 1.0, num_classes: int = 1000, **options: Unpack[Options]) -> Architecture:
    """FD-MobileNet, with ReLU, as it is written in PyTorch."""
    architecture = of_rows("fd_mobilenet", _ROWS, width, num_classes)
    return architecture.with_options(**Options(**RELU)).with_options(**options)


# pytorchcv's FD-MobileNet has the names of its V1, and fewer blocks.
FAMILY = Family("fd_mobilenet", fd_mobilenet, WIRING, (EDGEKIT, PYTORCHCV, qinzheng(len(_ROWS))))
