"""timm's mobilenetv3_rw: a MobileNetV3-Large as it was understood before the paper's code was there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Unpack

from edgekit.models.families.mobilenet_v3 import WIRING, mobilenet_v3_large
from edgekit.models.families.registry import Family

if TYPE_CHECKING:
    from edgekit.models.architecture import Architecture, Options


def mobilenet_v3_rw(width: float = 1.0, num_classes: int = 1000, **options: Unpack[Options]) -> Architecture:
    """V3-Large whose first block adds nothing, and whose squeeze-and-excite has the block's activation inside.

    Source: timm/models/mobilenetv3.py, _gen_mobilenet_v3_rw.
    """
    large = mobilenet_v3_large(width, num_classes)
    blocks = [replace(block, squeeze=round(block.expanded / 4) if block.squeeze else 0) for block in large.blocks]
    blocks[0] = replace(blocks[0], skips=False)
    own = replace(large, family="mobilenet_v3_rw", blocks=tuple(blocks))
    return own.with_options(squeezes_as_block=True).with_options(**options)


# Its weights have timm's names alone, which tell it from other V3s (``layouts/timm.py``).
FAMILY = Family("mobilenet_v3_rw", mobilenet_v3_rw, WIRING)
