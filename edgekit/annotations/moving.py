"""Targets seen as the network sees their image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, TypeAlias, overload

import numpy as np

from edgekit.annotations.boxes import Boxes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.geometry import Geometry

Mask: TypeAlias = "NDArray[np.uint8]"  # [H, W], class indices
Target: TypeAlias = "Boxes | Mask"
Together: TypeAlias = "Mapping[str, Target]"  # of several tasks, by their names

UNKNOWN: Final = 255  # of a mask, where nobody knows


@overload
def moved(target: Boxes, geometry: Geometry) -> Boxes: ...


@overload
def moved(target: Mask, geometry: Geometry) -> Mask: ...


@overload
def moved(target: Together, geometry: Geometry) -> Together: ...


def moved(target: Target | Together, geometry: Geometry) -> Target | Together:
    """Boxes or a mask, or those of several tasks, moved as ``geometry`` moves their image.

    Boxes are cut off at the border; those go whose middle is outside, as SSD has it (arXiv:1512.02325, section 2.2,
    "Data augmentation"). A mask is not known where there is no image.
    """
    if isinstance(target, Mapping):
        return {name: moved(one, geometry) for name, one in target.items()}
    if not isinstance(target, Boxes):
        return geometry.nearest(target, UNKNOWN)
    corners = geometry.corners(target.corners)
    middles = (corners[:, :2] + corners[:, 2:]) / 2
    stays = ((middles > 0) & (middles < 1)).all(1)
    return Boxes(np.clip(corners[stays], 0, 1), target.classes[stays], target.is_crowd[stays])


def parts(target: Target | Together | None) -> tuple[Target, ...]:
    """The boxes and masks of an image, of whatever tasks."""
    if target is None:
        return ()
    return tuple(target.values()) if isinstance(target, Mapping) else (target,)
