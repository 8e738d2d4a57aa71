"""Mixup (arXiv:1710.09412) and CutMix (arXiv:1905.04899): images of two classes in one, and a target that says so."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

SWITCH: Final = 0.5  # how often CutMix is taken where both are wanted; as in timm/data/mixup.py


def mix(
    images: Tensor, targets: Tensor, mixup: float, cutmix: float, random: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Each image of a batch mixed with the one as far from the batch's end, all in one proportion.

    The proportion that stays is drawn from Beta(alpha, alpha). Mixup adds the images up. CutMix puts a rectangle of the
    other image into this one: of this one's shape, its middle anywhere, cut off at the border; what stays is then the
    area outside of it.

    Args:
        images: [N, C, H, W].
        targets: [N, K], a share of each class.
        mixup: alpha of mixup; 0 leaves it out.
        cutmix: alpha of CutMix, likewise.
        random: what is drawn from; the same state gives the same batch.

    Returns:
        Images and targets of the same shapes; what was given is left as it is.
    """
    is_cutmix = cutmix > 0 and (mixup <= 0 or random.random() < SWITCH)
    if not is_cutmix and mixup <= 0:
        return images, targets
    alpha = cutmix if is_cutmix else mixup
    stays = float(random.beta(alpha, alpha))
    if is_cutmix:
        images, stays = _with_patch(images, stays, random)
    else:
        images = images * stays + images.flip(0) * (1 - stays)
    return images, targets * stays + targets.flip(0) * (1 - stays)


def _with_patch(images: Tensor, stays: float, random: np.random.Generator) -> tuple[Tensor, float]:
    """Images with a rectangle of another, and the share of their area outside of it."""
    height, width = images.shape[-2:]
    share = math.sqrt(1 - stays)
    top, bottom = _bounds(height, int(height * share), random)
    left, right = _bounds(width, int(width * share), random)
    mixed = images.clone()
    mixed[..., top:bottom, left:right] = images.flip(0)[..., top:bottom, left:right]
    return mixed, 1 - (bottom - top) * (right - left) / (height * width)


def _bounds(length: int, wanted: int, random: np.random.Generator) -> tuple[int, int]:
    middle = int(random.integers(length))
    return max(middle - wanted // 2, 0), min(middle + wanted // 2, length)
