"""How sure a measured value is, and the power of a difference."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

NORMAL_95 = 1.959964  # the 97.5 % quantile of the standard normal distribution


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its 95 % interval.

    Attributes:
        value: what was measured.
        low: lower end.
        high: upper end.
    """

    value: float
    low: float
    high: float


def share(value: float, number: int) -> Interval:
    """A share, 0..1, of ``number`` cases, with Wilson's score interval, which holds for few cases and near 0 and 1.

    Source: Wilson, Probable Inference, the Law of Succession, and Statistical Inference, JASA 22 (1927).

    >>> found = share(0.5, 100)
    >>> round(found.low, 4), round(found.high, 4)
    (0.4038, 0.5962)
    """
    z2 = NORMAL_95**2
    centre = (value + z2 / (2 * number)) / (1 + z2 / number)
    half = NORMAL_95 * math.sqrt(value * (1 - value) / number + z2 / (4 * number**2)) / (1 + z2 / number)
    return Interval(value, max(centre - half, 0.0), min(centre + half, 1.0))


def paired(differences: NDArray[np.float64]) -> Interval:
    """The mean of ``differences``, [N], of two networks on the same images, with its normal interval.

    Only images on which the two differ make it uncertain. Source: Agresti, Categorical Data Analysis, 2nd edition,
    section 10.1.1.

    >>> import numpy as np
    >>> paired(np.array([0.0, -100.0]))
    Interval(value=-50.0, low=-119.29519176407551, high=19.29519176407551)
    """
    mean, half = float(differences.mean()), NORMAL_95 * float(differences.std()) / math.sqrt(len(differences))
    return Interval(mean, mean - half, mean + half)


def sqnr_db(found: NDArray[np.generic], floats: NDArray[np.generic]) -> float:
    """The signal-to-quantization-noise ratio, 10 log10(sum f^2 / sum (f - q)^2), over all images; inf without noise.

    >>> import numpy as np
    >>> sqnr_db(np.array([[3.0, 4.5]]), np.array([[3.0, 4.0]]))
    20.0
    """
    signal = floats.astype(np.float64)
    noise = float(np.square(signal - found.astype(np.float64)).sum())
    return 10 * math.log10(float(np.square(signal).sum()) / noise) if noise else math.inf
