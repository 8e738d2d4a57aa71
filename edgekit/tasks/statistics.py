"""How sure a measured value is, and the power of a difference."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SAMPLES = 1000  # of a bootstrap
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


def resampled(
    measure: Callable[[NDArray[np.int64]], NDArray[np.float64]], images: int, samples: int = SAMPLES
) -> Interval:
    """What is measured of all images, with the interval between the 2.5 % and 97.5 % quantiles of resampled images.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 13.3.

    Args:
        measure: takes how often each image is drawn in each of R samples, [R, images], and gives R values. What it
            compares on the same draws is paired.
        images: how many there are.
        samples: how often images are drawn, always the same ones.

    >>> import numpy as np
    >>> resampled(lambda drawn: drawn @ np.array([1.0, 1.0]), 2)
    Interval(value=2.0, low=2.0, high=2.0)
    """
    drawn = np.random.default_rng(0).multinomial(images, np.full(images, 1 / images), samples)
    low, high = np.quantile(measure(drawn), [0.025, 0.975])
    return Interval(float(measure(np.ones((1, images), np.int64))[0]), float(low), float(high))


def sqnr_db(found: NDArray[np.generic], floats: NDArray[np.generic]) -> float:
    """The signal-to-quantization-noise ratio, 10 log10(sum f^2 / sum (f - q)^2), over all images; inf without noise.

    >>> import numpy as np
    >>> sqnr_db(np.array([[3.0, 4.5]]), np.array([[3.0, 4.0]]))
    20.0
    """
    signal = floats.astype(np.float64)
    noise = float(np.square(signal - found.astype(np.float64)).sum())
    return 10 * math.log10(float(np.square(signal).sum()) / noise) if noise else math.inf
