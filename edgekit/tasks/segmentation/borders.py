"""Whether a segmenter errs at borders between classes, where masks are coarse, or inside of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.annotations.moving import UNKNOWN
from edgekit.tasks.quality import ErrorKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

WIDTH: Final = 0.02  # of the diagonal of the image, to either side of a border: as in Cheng et al., arXiv:2103.16562


def at_border(mask: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which pixels of a mask [H, W] are near one of another class; what nobody knows is no class.

    Near is a square of ``WIDTH`` of the diagonal to each side, at least one pixel.

    >>> import numpy as np
    >>> at_border(np.array([[0, 0, 0, 1, 1, 1]], np.uint8)).astype(int).tolist()
    [[0, 0, 1, 1, 0, 0]]
    """
    near = max(round(WIDTH * float(np.hypot(*mask.shape))), 1)
    low, high = (
        np.where(mask == UNKNOWN, filled, mask.astype(np.int16)).astype(np.int16) for filled in (UNKNOWN + 1, -1)
    )
    for axis in (0, 1):
        low, high = (_spread(values, near, axis, how) for values, how in ((low, np.minimum), (high, np.maximum)))
    found: NDArray[np.bool_] = (high > low) & (mask != UNKNOWN)
    return found


def _spread(values: NDArray[np.int16], near: int, axis: int, how: np.ufunc) -> NDArray[np.int16]:
    """The least or largest value within so many pixels along an axis."""
    for _ in range(near):
        moved = values.copy()
        ahead, behind = (np.moveaxis(moved, axis, 0)[part] for part in (slice(1, None), slice(None, -1)))
        source = np.moveaxis(values, axis, 0)
        how(ahead, source[:-1], out=ahead)
        how(behind, source[1:], out=behind)
        values = moved
    return values


def by_place(pairs: Iterable[tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> tuple[ErrorKind, ...]:
    """The share of pixels that are wrong near borders, and away from them.

    Args:
        pairs: the right mask and the one that is said, [H, W] each, image by image.
    """
    wrong, known = np.zeros(2, np.int64), np.zeros(2, np.int64)
    for right, said in pairs:
        border = at_border(right)
        for place, where in enumerate((border, ~border & (right != UNKNOWN))):
            known[place] += where.sum()
            wrong[place] += (said[where] != right[where]).sum()
    return tuple(
        ErrorKind(name, int(wrong[place]), f"pixels {name}", float(wrong[place] / max(known[place], 1)))
        for place, name in enumerate(("at borders", "inside"))
    )
