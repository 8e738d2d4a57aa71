"""How often logits are right, and how near they are to others."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgekit.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Measured on labelled images.

    Attributes:
        images: how many.
        top1: share whose highest logit is the label, 0..1.
        top5: share with the label among the five highest logits, 0..1.
    """

    images: int
    top1: float
    top5: float


def check_labels(labels: Sequence[int], classes: int) -> None:
    """Refuse labels that are not of ``classes``.

    Raises:
        DataError: there is no such class.
    """
    if max(labels, default=0) >= classes:
        raise DataError(
            f"an image has the label {max(labels)}, and the network has {classes} classes, 0 to {classes - 1}: "
            f"check that the labels belong to this network and start from 0"
        )


def measure(logits: NDArray[np.generic], labels: Sequence[int]) -> Accuracy:
    """The accuracy of ``logits``, [N, classes]. Equal logits rank in the order of the classes, as argmax has it.

    >>> import numpy as np
    >>> measure(np.array([[0.1, 0.9], [0.8, 0.2]]), [1, 1])
    Accuracy(images=2, top1=0.5, top5=1.0)
    """
    ranked = np.argsort(-logits.astype(np.float64), axis=1, kind="stable")[:, :5]
    hits = ranked == np.asarray(labels)[:, None]
    return Accuracy(len(logits), float(hits[:, 0].mean()), float(hits.any(1).mean()))


def agreement(a: NDArray[np.generic], b: NDArray[np.generic]) -> float:
    """The share of images, 0..1, for which both logits, [N, classes], are highest in the same class."""
    return float((a.argmax(1) == b.argmax(1)).mean()) if len(a) else 0.0


def sqnr_db(found: NDArray[np.generic], floats: NDArray[np.generic]) -> float:
    """The signal-to-quantization-noise ratio, 10 log10(sum f^2 / sum (f - q)^2), over all images; inf without noise.

    >>> import numpy as np
    >>> sqnr_db(np.array([[3.0, 4.5]]), np.array([[3.0, 4.0]]))
    20.0
    """
    signal = floats.astype(np.float64)
    noise = float(np.square(signal - found.astype(np.float64)).sum())
    return 10 * math.log10(float(np.square(signal).sum()) / noise) if noise else math.inf
