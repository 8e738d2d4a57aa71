"""A V3 of eleven rows that a search might give, as written in textbooks.

It has no residuals, hard-swish everywhere, and squeeze-and-excite before it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Unpack

from edgekit.models.architecture import Options
from edgekit.models.families.mobilenet_v3 import WIRING, Table, of_table
from edgekit.models.families.registry import Family
from edgekit.models.naming import Naming, pair, squeezing, wide

if TYPE_CHECKING:
    from edgekit.models.architecture import Architecture

_TABLE = Table(
    family="mobilenet_v3_nas",
    resolution=224,
    stem=32,
    stem_stride=2,
    rows=(
        (3, 96, 24, True, "hard_swish", 1),
        (3, 72, 24, False, "hard_swish", 2),
        (5, 72, 40, True, "hard_swish", 2),
        (5, 120, 40, True, "hard_swish", 1),
        (3, 240, 80, False, "hard_swish", 2),
        (3, 200, 80, False, "hard_swish", 1),
        (3, 480, 112, True, "hard_swish", 1),
        (3, 672, 112, True, "hard_swish", 1),
        (5, 672, 160, True, "hard_swish", 2),
        (5, 960, 160, True, "hard_swish", 1),
        (5, 960, 160, True, "hard_swish", 1),
    ),
    hidden=0,
)
_LAST = 1280


def mobilenet_v3_nas(width: float = 1.0, num_classes: int = 1000, **options: Unpack[Options]) -> Architecture:
    """A V3-style network of eleven searched rows, without residuals."""
    table = replace(of_table(_TABLE, width, num_classes), head_channels=_LAST)
    usual = Options(bn_eps=1e-5, squeeze_first=True, residuals=False)
    return table.with_options(**usual).with_options(**options)


_FORM = wide(pair("features.{i}", 0), pair("features.{i}", 3), pair("features.{i}", 7))
NAMING = Naming(
    "NASMobileNet state dict",
    WIRING,
    ("stem.0", "stem.1"),
    (squeezing(_FORM, "features.{i}.5.fc.0", "features.{i}.5.fc.2"), _FORM),
    ("head.0", "head.1"),
    stated=Options(squeeze_first=True, residuals=False),
    family="mobilenet_v3_nas",
)

FAMILY = Family("mobilenet_v3_nas", mobilenet_v3_nas, WIRING, (NAMING,))
