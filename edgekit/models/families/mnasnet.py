"""MnasNet (arXiv:1807.11626): B1, A1 with squeeze-and-excite (timm's semnasnet), and small.

Source of the rows: torchvision/models/mnasnet.py for B1, timm/models/efficientnet.py for the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from edgekit.models.architecture import Options, check_width, make_divisible
from edgekit.models.families.mobilenet_v2 import NAMINGS, WIRING, Row, of_rows
from edgekit.models.families.mobilenet_v3 import NAMINGS as SQUEEZING_NAMINGS
from edgekit.models.families.mobilenet_v3 import WIRING as SQUEEZING
from edgekit.models.families.registry import Family
from edgekit.models.naming import Naming, pair, plain, wide

if TYPE_CHECKING:
    from edgekit.models.architecture import Architecture

_STEM = 32
_B1 = (
    Row(3, 1, 16, 1, 1),
    Row(3, 3, 24, 3, 2),
    Row(5, 3, 40, 3, 2),
    Row(5, 6, 80, 3, 2),
    Row(3, 6, 96, 2, 1),
    Row(5, 6, 192, 4, 2),
    Row(3, 6, 320, 1, 1),
)
_A1 = (
    Row(3, 1, 16, 1, 1),
    Row(3, 6, 24, 2, 2),
    Row(5, 3, 40, 3, 2, squeezes=True),
    Row(3, 6, 80, 4, 2),
    Row(3, 6, 112, 2, 1, squeezes=True),
    Row(5, 6, 160, 3, 2, squeezes=True),
    Row(3, 6, 320, 1, 1),
)
_SMALL_STEM = 8
_SMALL = (
    Row(3, 1, 8, 1, 1),
    Row(3, 3, 16, 1, 2),
    Row(3, 6, 16, 2, 2),
    Row(5, 6, 32, 4, 2, squeezes=True),
    Row(3, 6, 32, 3, 1, squeezes=True),
    Row(5, 6, 88, 3, 2, squeezes=True),
    Row(3, 6, 144, 1, 1),
)


def mnasnet(width: float = 1.0, num_classes: int = 1000, **options: Unpack[Options]) -> Architecture:
    """MnasNet-B1. The last convolution has 1280 channels at every width."""
    return _of_rows("mnasnet", _B1, _STEM, width, num_classes).with_options(**options)


def mnasnet_a1(width: float = 1.0, num_classes: int = 1000, **options: Unpack[Options]) -> Architecture:
    """MnasNet-A1."""
    return _of_rows("mnasnet_a1", _A1, _STEM, width, num_classes).with_options(gate="sigmoid").with_options(**options)


def mnasnet_small(width: float = 1.0, num_classes: int = 1000, **options: Unpack[Options]) -> Architecture:
    """MnasNet-Small."""
    small = _of_rows("mnasnet_small", _SMALL, _SMALL_STEM, width, num_classes)
    return small.with_options(gate="sigmoid").with_options(**options)


def _of_rows(family: str, rows: tuple[Row, ...], stem: int, width: float, num_classes: int) -> Architecture:
    check_width(width)
    return of_rows(family, rows, make_divisible(stem * width), width, num_classes).with_options(activation="relu")


# One Sequential of everything, in which the rows are children 8 to 13.
TORCHVISION = Naming(
    "torchvision's MnasNet",
    WIRING,
    ("layers.0", "layers.1"),
    (wide(*(pair("layers.{s}.{u0}.layers", place) for place in (0, 3, 6))),),
    ("layers.14", "layers.15"),
    first=plain(pair("layers", 3), pair("layers", 6)),
    stages=(1, *(row.repeats for row in _B1[1:])),
    first_stage=7,
)

B1 = Family("mnasnet", mnasnet, WIRING, (TORCHVISION, *NAMINGS))
A1 = Family("mnasnet_a1", mnasnet_a1, SQUEEZING, SQUEEZING_NAMINGS)
SMALL = Family("mnasnet_small", mnasnet_small, SQUEEZING, SQUEEZING_NAMINGS)
