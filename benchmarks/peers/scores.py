"""What the logits of a quantized network are worth, beside those of the float network."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgekit.verification import accuracy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

NORMAL_95 = 1.959964  # the 97.5 % quantile of the standard normal distribution


@dataclass(frozen=True, slots=True)
class Score:
    """A quantized network on labelled images.

    Attributes:
        images: how many.
        top1: share whose highest logit is the label, 0..1.
        drop: of top1 from the float network's, 0..1; negative where the quantized network is right more often.
        drop_interval: of the drop, 95 %, paired by image.
        agreement: share with the same highest logit as the float network, 0..1.
        sqnr_db: of the logits, decibels.
    """

    images: int
    top1: float
    drop: float
    drop_interval: tuple[float, float]
    agreement: float
    sqnr_db: float


def score(found: NDArray[np.generic], floats: NDArray[np.generic], labels: Sequence[int]) -> Score:
    """Logits, [N, classes], against the float network's and the labels."""
    right, expected = (logits.argmax(1) == np.asarray(labels) for logits in (found, floats))
    drop, half = paired_drop(right, expected)
    return Score(
        images=len(found),
        top1=float(right.mean()),
        drop=drop,
        drop_interval=(drop - half, drop + half),
        agreement=accuracy.agreement(found, floats),
        sqnr_db=sqnr_db(found, floats),
    )


def sqnr_db(found: NDArray[np.generic], floats: NDArray[np.generic]) -> float:
    """The signal-to-quantization-noise ratio, 10 log10(sum f^2 / sum (f - q)^2), over all images; inf without noise.

    >>> import numpy as np
    >>> round(sqnr_db(np.array([[1.1, 2.0]]), np.array([[1.0, 2.0]])), 6)
    26.9897
    """
    signal = floats.astype(np.float64)
    noise = float(np.square(signal - found.astype(np.float64)).sum())
    return 10 * math.log10(float(np.square(signal).sum()) / noise) if noise else math.inf


def paired_drop(right: NDArray[np.bool_], expected: NDArray[np.bool_]) -> tuple[float, float]:
    """How much less often ``right`` is true than ``expected``, and half the width of the 95 % interval of that.

    Both are of the same images, [N], so only those where they differ are uncertain: the normal interval of the mean of
    differences. Source: Agresti, Categorical Data Analysis, 2nd edition, section 10.1.1.

    >>> import numpy as np
    >>> paired_drop(np.array([True, False]), np.array([True, False]))
    (0.0, 0.0)
    """
    differences = expected.astype(np.float64) - right
    return float(differences.mean()), NORMAL_95 * float(differences.std()) / math.sqrt(len(differences))
