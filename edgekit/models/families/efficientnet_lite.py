"""EfficientNet-Lite0 to -Lite4: EfficientNet (arXiv:1905.11946) with ReLU6 and without squeeze-and-excite.

Source: the repository tensorflow/tpu, models/official/efficientnet/lite/efficientnet_lite_builder.py.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Unpack

from edgekit.models.families.mobilenet_v2 import NAMINGS, WIRING, Row, of_rows
from edgekit.models.families.registry import Family

if TYPE_CHECKING:
    from edgekit.models.architecture import Architecture, Options

_STEM = 32  # at every width
_ROWS = (
    Row(3, 1, 16, 1, 1),
    Row(3, 6, 24, 2, 2),
    Row(5, 6, 40, 2, 2),
    Row(3, 6, 80, 3, 2),
    Row(5, 6, 112, 3, 1),
    Row(5, 6, 192, 4, 2),
    Row(3, 6, 320, 1, 1),
)
# Multiplier of channels, of repeats between the first and the last row, and resolution.
_SCALES = ((1.0, 1.0, 224), (1.0, 1.1, 240), (1.1, 1.2, 260), (1.2, 1.4, 280), (1.4, 1.8, 300))


def efficientnet_lite(
    level: int, width: float = 1.0, num_classes: int = 1000, **options: Unpack[Options]
) -> Architecture:
    """EfficientNet-Lite of a level from 0 to 4; ``width`` multiplies its channels once more."""
    wider, deeper, resolution = _SCALES[level]
    inner = (replace(row, repeats=math.ceil(row.repeats * deeper)) for row in _ROWS[1:-1])
    rows = (_ROWS[0], *inner, _ROWS[-1])
    of_level = of_rows(f"efficientnet_lite{level}", rows, _STEM, wider * width, num_classes)
    return replace(of_level, width=width, resolution=resolution).with_options(**options)


FAMILIES = tuple(
    Family(f"efficientnet_lite{level}", partial(efficientnet_lite, level), WIRING, NAMINGS)
    for level in range(len(_SCALES))
)
