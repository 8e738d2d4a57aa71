"""A small V3 of edgekit's own, for images of 32 x 32.

It has the operators of V3 (both activations, both kernels, squeeze-and-excite, residuals), a stem that keeps the
resolution, and few enough weights to ship.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from edgekit.models.families.mobilenet_v3 import NAMINGS, WIRING, Table, of_table
from edgekit.models.families.registry import Family

if TYPE_CHECKING:
    from edgekit.models.architecture import Architecture, Options

_TABLE = Table(
    family="mobilenet_v3_digits",
    resolution=32,
    stem=16,
    stem_stride=1,
    rows=(
        (3, 16, 16, True, "relu", 2),
        (3, 64, 24, False, "relu", 1),
        (3, 72, 24, False, "relu", 1),
        (5, 96, 40, True, "hard_swish", 2),
        (5, 120, 40, True, "hard_swish", 1),
        (5, 144, 56, True, "hard_swish", 2),
        (5, 168, 56, True, "hard_swish", 1),
    ),
    hidden=128,
)


def mobilenet_v3_digits(width: float = 1.0, num_classes: int = 10, **options: Unpack[Options]) -> Architecture:
    """A small V3-style network for small images, with every operator that MobileNetV3 has."""
    return of_table(_TABLE, width, num_classes).with_options(**options)


FAMILY = Family("mobilenet_v3_digits", mobilenet_v3_digits, WIRING, NAMINGS)
