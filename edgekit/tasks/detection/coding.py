"""Boxes as a detector's head gives them, relative to prior boxes, and back.

A prior box has a centre (c_x, c_y) and a size (w, h), in shares of the image. The coding of a box with the centre
(x, y) and the size (W, H) is

    t_x = (x - c_x) / w / 0.1        t_w = log(W / w) / 0.2
    t_y = (y - c_y) / h / 0.1        t_h = log(H / h) / 0.2

Sources: SSD, arXiv:1512.02325, equation 2; its code divides by 0.1 and 0.2, which it calls variances, and torchvision
multiplies by 10 and 5 (``BoxCoder`` of torchvision/models/detection/_utils.py, weights 10, 10, 5, 5).

**One arithmetic.** Everything is computed in float64 and rounded to float32 once, at the end. So the last bits in which
the exponential functions of machines differ are rounded away, and the same codings are the same boxes everywhere.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

CENTRE_VARIANCE: Final = 0.1
SIZE_VARIANCE: Final = 0.2
MOST_GROWTH: Final = math.log(1000 / 16)  # of log(W / w): what exceeds it overflows (torchvision, bbox_xform_clip)


def corners(boxes: NDArray[Any]) -> NDArray[np.float64]:
    """Centres and sizes, [..., (c_x, c_y, w, h)], as [..., (left, top, right, bottom)].

    >>> import numpy as np
    >>> corners(np.array([0.5, 0.5, 0.5, 0.25])).tolist()
    [0.25, 0.375, 0.75, 0.625]
    """
    centre, half = np.asarray(boxes[..., :2], np.float64), np.asarray(boxes[..., 2:], np.float64) / 2
    return np.concatenate([centre - half, centre + half], -1)


def encode(boxes: NDArray[Any], priors: NDArray[Any]) -> NDArray[np.float32]:
    """The codings of ``boxes`` relative to ``priors``, one for each.

    Args:
        boxes: [..., (left, top, right, bottom)], in shares of the image; none is empty.
        priors: [..., (c_x, c_y, w, h)], likewise.

    >>> import numpy as np
    >>> encode(np.array([[0.5, 0.5, 0.75, 0.75]]), np.array([[0.5, 0.5, 0.25, 0.25]])).tolist()
    [[5.0, 5.0, 0.0, 0.0]]
    """
    low, high = np.asarray(boxes[..., :2], np.float64), np.asarray(boxes[..., 2:], np.float64)
    centre, size = np.asarray(priors[..., :2], np.float64), np.asarray(priors[..., 2:], np.float64)
    moved = ((low + high) / 2 - centre) / size / CENTRE_VARIANCE
    grown = np.log((high - low) / size) / SIZE_VARIANCE
    return np.concatenate([moved, grown], -1).astype(np.float32)


def decode(codings: NDArray[Any], priors: NDArray[Any]) -> NDArray[np.float32]:
    """The boxes that ``codings``, [..., A, 4], stand for, [..., A, (left, top, right, bottom)], cut at the image.

    Args:
        codings: (t_x, t_y, t_w, t_h) of each prior box.
        priors: [A, (c_x, c_y, w, h)], in shares of the image.

    >>> import numpy as np
    >>> decode(np.zeros((1, 4)), np.array([[0.5, 0.875, 0.5, 0.5]])).tolist()
    [[0.25, 0.625, 0.75, 1.0]]
    """
    values, of = np.asarray(codings, np.float64), np.asarray(priors, np.float64)
    centre = of[:, :2] + values[..., :2] * CENTRE_VARIANCE * of[:, 2:]
    size = of[:, 2:] * np.exp(np.minimum(values[..., 2:] * SIZE_VARIANCE, MOST_GROWTH))
    return corners(np.concatenate([centre, size], -1)).clip(0, 1).astype(np.float32)


def probabilities(logits: NDArray[Any]) -> NDArray[np.float32]:
    """The soft-max of ``logits``, [..., 1 + classes], without the background, which comes first: [..., classes].

    In float64, rounded to float32 once.
    """
    values = logits.astype(np.float64)
    powers = np.exp(values - values.max(-1, keepdims=True))
    found: NDArray[np.float64] = powers / powers.sum(-1, keepdims=True)
    return found[..., 1:].astype(np.float32)
