"""Targets seen as the network sees their image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias, overload

import numpy as np

from edgekit.annotations.boxes import Boxes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.geometry import Geometry

Mask: TypeAlias = "NDArray[np.uint8]"  # [H, W], class indices
Target: TypeAlias = "Boxes | Mask"

UNKNOWN: Final = 255  # of a mask, where nobody knows


@overload
def moved(target: Boxes, geometry: Geometry) -> Boxes: ...


@overload
def moved(target: Mask, geometry: Geometry) -> Mask: ...


def moved(target: Target, geometry: Geometry) -> Target:
    """Boxes or a mask moved as ``geometry`` moves their image.

    Boxes are cut off at the border; those go whose middle is outside, as SSD has it (arXiv:1512.02325, section 2.2,
    "Data augmentation"). A mask is not known where there is no image.
    """
    if not isinstance(target, Boxes):
        return geometry.nearest(target, UNKNOWN)
    corners = geometry.corners(target.corners)
    middles = (corners[:, :2] + corners[:, 2:]) / 2
    stays = ((middles > 0) & (middles < 1)).all(1)
    return Boxes(np.clip(corners[stays], 0, 1), target.classes[stays], target.is_crowd[stays])
