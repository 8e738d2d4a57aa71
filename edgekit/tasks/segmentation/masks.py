"""From logits or classes at a head's own stride to the class of each pixel, and how two masks agree.

Logits are interpolated bilinearly, the corners of both maps' corner pixels in common (``HALF_PIXEL`` of
``edgekit.ir``: torch's ``align_corners=False``), and the class with the largest one is that of the pixel; of equal ones
the first.

**One arithmetic.** Everything is float32: first across, then down, each as a (1 - f) + b f. So the same logits are
the same mask on every machine. Logits that differ by less than 2**-20 of the largest count as equal: those of int8
files are a scale times integers, of which each product is rounded, and where a map is enlarged by 2, 4, 8 or 16,
integers that are not equal differ by more. So such a mask is that of the integers
(``edgekit.ir.operators.arg_max``).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgekit.annotations.moving import UNKNOWN
from edgekit.ir.operators.resize import HALF_PIXEL, positions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_EQUAL: Final = np.float32(2**-20)  # see the module's docstring


def mask_of(logits: NDArray[Any], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The class of each pixel, [H, W], from ``logits``, [classes, h, w]; ``size`` is (H, W).

    >>> import numpy as np
    >>> mask_of(np.array([[[0.0, 8.0]], [[3.0, 3.0]]]), (1, 4)).tolist()
    [[1, 1, 0, 0]]
    """
    equal = _EQUAL * np.abs(logits).max(initial=0).astype(np.float32)
    best, found = np.full(size, -np.inf, np.float32), np.zeros(size, np.uint8)
    for index, values in enumerate(_interpolated(logits, size)):
        is_larger = values > best + equal
        np.copyto(found, np.uint8(index), where=is_larger)
        np.copyto(best, values, where=is_larger)
    return found


def classes_of(logits: NDArray[Any], size: tuple[int, int] | None) -> NDArray[np.int32]:
    """What files give that name classes themselves, [N, H, W], for logits [N, classes, h, w]; None: at their size."""
    masks = logits.argmax(1) if size is None else np.stack([mask_of(one, size) for one in logits])
    return masks.astype(np.int32)


def logits_of(logits: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float32]:
    """What files give whose logits have the size of the image, [N, classes, H, W], for logits [N, classes, h, w]."""
    return np.stack([np.stack([*_interpolated(one, size)]) for one in logits])


def enlarged(classes: NDArray[Any], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The class of each pixel, [H, W], from classes [h, w]: that of the nearest place.

    >>> import numpy as np
    >>> enlarged(np.array([[4, 7]]), (1, 4)).tolist()
    [[4, 4, 7, 7]]
    """
    rows, columns = ((2 * np.arange(new) + 1) * old // (2 * new) for old, new in zip(classes.shape, size, strict=True))
    return classes[np.ix_(rows, columns)].astype(np.uint8)


def confusion(right: NDArray[np.uint8], said: NDArray[np.uint8], classes: int) -> NDArray[np.int64]:
    """How many pixels of each class (a row) are said to be of which (a column); what nobody knows is left out.

    >>> import numpy as np
    >>> confusion(np.array([0, 0, 1, 255], np.uint8), np.array([0, 1, 1, 1], np.uint8), 2).tolist()
    [[1, 1], [0, 1]]
    """
    known = right != UNKNOWN
    pairs = right[known].astype(np.int64) * classes + said[known]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def overlaps(confusions: NDArray[np.int64], drawn: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
    """The intersection over union of each class, over all images, 0..1; NaN of one that is neither there nor said.

    Args:
        confusions: [N, classes, classes], of each image.
        drawn: [R, N], how often each image was drawn in each of R samples; None draws each once, in one sample.

    Returns:
        [R, classes].
    """
    samples = np.ones((1, len(confusions)), np.int64) if drawn is None else drawn
    both = samples @ np.diagonal(confusions, axis1=1, axis2=2)
    either = samples @ (confusions.sum(1) + confusions.sum(2)) - both
    found: NDArray[np.float64] = np.divide(both, either, out=np.full(both.shape, np.nan), where=either > 0)
    return found


def mean_overlap(overlaps: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over the classes that occur, [R] of [R, classes]; 0 where none does."""
    known = ~np.isnan(overlaps)
    found: NDArray[np.float64] = np.where(known, overlaps, 0).sum(1) / np.maximum(known.sum(1), 1)
    return found


def _interpolated(logits: NDArray[Any], size: tuple[int, int]) -> Iterator[NDArray[np.float32]]:
    """Of ``logits`` [classes, h, w] each class on its own, [H, W]: all at once, they are much memory."""
    low, high, share = _between(logits.shape[2], size[1])
    planes = logits.astype(np.float32)
    planes = planes[:, :, low] * (1 - share) + planes[:, :, high] * share
    low, high, share = _between(logits.shape[1], size[0])
    for plane in planes:
        yield plane[low] * (1 - share)[:, None] + plane[high] * share[:, None]


@lru_cache(maxsize=16)
def _between(old: int, new: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Between which of ``old`` places each of ``new`` lies, and how near to the second, 0..1."""
    places = positions(old, new, HALF_PIXEL)
    low = np.array([int(place) for place in places])
    share = np.array([float(place - int(place)) for place in places], np.float32)
    return low, np.minimum(low + 1, old - 1), share
