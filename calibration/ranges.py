"""From what was seen of a tensor to the range that int8 has to represent.

Every method but the first cuts something off at either end, to represent the rest more finely, and decides each end by
itself. A clamp needs no special care: its bound is the exact minimum or maximum, where so many values sit that cutting
them off never pays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from edgekit.errors import ConfigError
from edgekit.quantization import INT8_MAX, INT8_MIN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.calibration.observers import StreamingHistogram

# Of equalized channels, all of which reach the end: 99.99 costs MobileNetV3-Small 1 dB. See ``stability.widened``, too.
DEFAULT_PERCENTILE = 99.997
# The narrowest range. A tensor that is always (nearly) zero would get a scale so small that the requantization ratio
# S_in S_w / S_out of the convolution in front of it reaches 256, which XNNPACK refuses while it prepares the network.
# With this floor the ratio stays below that while S_in S_w is below 0.0039: inputs to 100, say, and weights to 1.2.
MIN_RANGE = 2.0**-8

_STEPS = INT8_MAX - INT8_MIN  # between the 256 levels
_MSE_SHRINK, _MSE_SPANS = 32, 40  # how far a range may shrink, and in how many steps: 9 % each, later 0.5 %
_ENTROPY_CANDIDATES = 128  # bounds tried at either end: 2 % apart where the range may shrink to a 16th


class RangeMethod(StrEnum):
    """How a range is chosen."""

    MINMAX = "minmax"  # everything that was seen
    PERCENTILE = "percentile"  # all but a fixed share of the values
    ENTROPY = "entropy"  # the distribution changes least
    MSE = "mse"  # the values change least


@dataclass(frozen=True, slots=True)
class Range:
    """The real values from ``low`` to ``high``; ``low <= 0 <= high``, as int8 must represent zero exactly."""

    low: float
    high: float

    def scaled(self, factor: float) -> Range:
        """Both ends, ``factor`` times as far."""
        return Range(self.low * factor, self.high * factor)


def find_range(histogram: StreamingHistogram, method: RangeMethod, *, percentile: float = DEFAULT_PERCENTILE) -> Range:
    """The range of a tensor: contains zero, lies within what was seen, and is at least ``MIN_RANGE`` wide.

    (MSE may go half a step of int8 beyond one end, to keep it although zero has to be a level.)

    Args:
        histogram: of the tensor's values, at least one.
        method: how to choose.
        percentile: for PERCENTILE alone: a share of (100 - percentile) / 100 of the values is cut off at *each* end, so
            that ``high`` is the percentile and ``low`` the (100 - percentile)th one. Above 50, at most 100.

    Raises:
        ConfigError: the percentile is out of bounds.
    """
    assert histogram.total, "nothing was observed"
    match method:
        case RangeMethod.MINMAX:
            low, high = histogram.minimum, histogram.maximum
        case RangeMethod.PERCENTILE:
            low, high = _percentile(histogram, percentile)
        case RangeMethod.ENTROPY:
            low, high = _entropy(histogram)
        case RangeMethod.MSE:
            low, high = _mse(histogram)
    return _with_floor(min(low, 0.0) + 0.0, max(high, 0.0))  # -0.0 + 0.0 is 0.0


def _with_floor(low: float, high: float) -> Range:
    """[low, high], stretched to ``MIN_RANGE`` where it is narrower."""
    width = high - low
    if width >= MIN_RANGE:
        return Range(low, high)
    if width < MIN_RANGE * 2.0**-100:  # nothing that could be stretched
        return Range(0.0, MIN_RANGE)
    return Range(low / width * MIN_RANGE, high / width * MIN_RANGE)


# --- percentile -----------------------------------------------------------------------------------------------------


def _percentile(histogram: StreamingHistogram, percentile: float) -> tuple[float, float]:
    """The same share cut off at both ends, with linear interpolation within a bin; the two ends mirror each other."""
    if not 50 < percentile <= 100:
        raise ConfigError(f"a percentile of {percentile:g} leaves no range: choose one above 50, at most 100")
    # Exact zeros are a point, not spread over their bin, so that whoever has enough of them gets a bound of exactly 0.
    zero = histogram.grid.zero
    edges, counts = histogram.edges, np.insert(_nonzero(histogram), zero, histogram.zeros)
    left, right = np.insert(edges[:-1], zero, 0.0), np.insert(edges[1:], zero, 0.0)
    share = percentile / 100
    low = -_quantile(-right[::-1], -left[::-1], counts[::-1], share)
    return low, _quantile(left, right, counts, share)


def _quantile(left: NDArray[np.float64], right: NDArray[np.float64], counts: NDArray[np.int64], share: float) -> float:
    """The value that ``share`` of all do not exceed, counts being spread evenly over [left, right]."""
    reached = np.cumsum(counts)
    rank = share * float(reached[-1])
    index = int(np.searchsorted(reached, rank))  # the first bin with reached >= rank; rank > 0, so it is not empty
    missing = (float(reached[index]) - rank) / float(counts[index])
    return float(right[index] - missing * (right[index] - left[index]))


def _nonzero(histogram: StreamingHistogram) -> NDArray[np.int64]:
    """The counts without the values that are exactly zero: whatever the range, those have no error."""
    counts = histogram.counts.copy()
    if histogram.zeros:
        counts[histogram.grid.zero] -= histogram.zeros
    return counts


# --- squared error --------------------------------------------------------------------------------------------------


def _mse(histogram: StreamingHistogram) -> tuple[float, float]:
    """The int8 grid with the smallest expected squared error.

    With scale S, and with zero being level z of 0 to 255, the grid reaches from -z S to (255 - z) S, and n values lose

        n E(S, z) = sum over |x| < S / 2 of x^2                      what becomes zero
                  + S^2 / 12 * (how many of the others are inside)   rounding: uniform noise between -S / 2 and S / 2
                  + sum over x < -z S of (x + z S)^2                 clipping
                  + sum over x > (255 - z) S of (x - (255 - z) S)^2  clipping

    where the values of a bin count as spread evenly over it, other than exact zeros and those at a clamp's bound, which
    is an edge: these are points, and no error if they are levels. Every z is tried with a row of scales, then again
    with finer steps around the best. That z is an integer matters: where one end is a few steps long, as behind a
    hard-swish, rounding z afterwards would clip what was meant to be kept.

    Source of the noise model: Banner et al., "Post training 4-bit quantization of convolutional networks for
    rapid-deployment", arXiv:1810.05723, section 2.
    """
    edges = histogram.edges
    below, above = _sides(histogram)
    if below.number + above.number == 0:
        return 0.0, 0.0
    # To keep both ends although z is rounded, the grid may have to be one step longer than what was seen.
    full, longer = float(edges[-1] - edges[0]), _STEPS / (_STEPS - 1)
    coarse = np.append(longer, np.geomspace(1.0, 1 / _MSE_SHRINK, _MSE_SPANS))
    span, level = _least_error(below, above, full * coarse)
    step = coarse[1] / coarse[2]
    fine = np.append(span, span * np.geomspace(step, 1 / step, _MSE_SPANS))
    span, level = _least_error(below, above, fine[fine <= full * longer])
    return -level / _STEPS * span, (_STEPS - level) / _STEPS * span


def squared_error(histogram: StreamingHistogram, found: Range) -> float:
    """The expected squared error of all values in the int8 grid over ``found``, summed up: rounding and clipping.

    The model is that of the range method MSE, but for values that become zero.
    """
    scale, error = (found.high - found.low) / _STEPS, 0.0
    for side, bound in zip(_sides(histogram), (-found.low, found.high), strict=True):
        if side.number:
            (cut,), (clipping,) = side.beyond(np.array([bound]))
            error += float(scale**2 / 12 * (side.number - cut) + clipping)
    return error


def _sides(histogram: StreamingHistogram) -> tuple[_Side, _Side]:
    """What lies below zero, and above, without exact zeros."""
    edges, counts, zero = histogram.edges, _nonzero(histogram), histogram.grid.zero
    width = histogram.grid.width
    return _Side(-edges[zero::-1], counts[:zero][::-1], width), _Side(edges[zero:], counts[zero:], width)


def _least_error(below: _Side, above: _Side, spans: NDArray[np.float64]) -> tuple[float, int]:
    """Of all grids with one of these spans (255 S), [K], the best one's span and its level of zero."""
    scale = spans[:, None] / _STEPS  # [K, 1]
    level = np.arange(0 if above.number else _STEPS, (_STEPS if below.number else 0) + 1)  # [Z]
    # The quotient first: 255 / 255 is exactly 1, so that a bound which is an edge is met exactly.
    cut_below, clipping_below = below.beyond(level / _STEPS * spans[:, None])  # [K, Z]
    cut_above, clipping_above = above.beyond((_STEPS - level) / _STEPS * spans[:, None])
    small_below, small_above = below.within(scale / 2) * (level > 0), above.within(scale / 2) * (level < _STEPS)
    inside = below.number + above.number - cut_below - cut_above - small_below[0] - small_above[0]
    error = scale**2 / 12 * inside + clipping_below + clipping_above + small_below[2] + small_above[2]  # [K, Z]
    best = np.unravel_index(np.argmin(error), error.shape)
    return float(spans[best[0]]), int(level[best[1]])


class _Side:
    """The values on one side of zero, by their distance from it.

    Attributes:
        number: how many there are.
    """

    def __init__(self, edges: NDArray[np.float64], counts: NDArray[np.int64], width: float) -> None:
        """From the edges of bins, [B + 1], all but the last multiples of width, and the values in each bin, [B]."""
        self._edges, self._full_width = edges, width
        self._counts, self._width = np.append(counts, 0.0), np.append(np.diff(edges), 0.0)  # an empty bin at the end
        self._sums = np.zeros((3, len(edges)))  # over all values before an edge
        self._sums[:, 1:] = np.cumsum(_sums(edges[:-1], edges[1:], counts.astype(np.float64)), axis=1)
        self.number = float(self._sums[0, -1])

    def within(self, bound: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sums of x^0, x^1 and x^2 over the values nearer than ``bound``, [3, ...]."""
        # The last edge before the bound, as searchsorted would find it, but in a tenth of the time.
        index = np.maximum(np.ceil(bound / self._full_width).astype(np.intp) - 1, 0)
        index[bound > self._edges[-1]] = len(self._edges) - 1
        left, width = self._edges[index], self._width[index]
        reached = np.minimum(bound - left, width)
        share = np.divide(reached, width, out=np.zeros_like(reached), where=width > 0)
        result: NDArray[np.float64] = self._sums[:, index] + _sums(left, left + reached, self._counts[index] * share)
        return result

    def beyond(self, bound: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """How many values lie at ``bound`` or beyond, and the sum of their squared distances from it, both [...]."""
        number, first, second = self._sums[:, -1].reshape(3, *[1] * bound.ndim) - self.within(bound)
        return number, np.maximum(second - 2 * bound * first + bound**2 * number, 0.0)


def _sums(left: NDArray[np.float64], right: NDArray[np.float64], number: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sums of x^0, x^1 and x^2 over values that are spread evenly between left and right, [3, ...]."""
    return np.stack([number, number * (left + right) / 2, number * (left**2 + left * right + right**2) / 3])


# --- entropy --------------------------------------------------------------------------------------------------------


def _entropy(histogram: StreamingHistogram) -> tuple[float, float]:
    """The range whose int8 values are distributed most like the original ones: least Kullback-Leibler divergence.

    Source: Szymon Migacz, "8-bit Inference with TensorRT", GPU Technology Conference 2017. For each candidate range,

        P  is the histogram within it, what lies outside being added to its outermost bins,
        Q  is the histogram within it, *without* what lies outside, the counts of each of the 256 levels being spread
           evenly over those of its bins that are not empty in P,

    and the candidate with the smallest divergence wins. Other than there, both ends move (in turns, until neither does
    any more); the levels are those of the affine grid, the first and the last half as wide as the others; values of
    exactly zero are left out; one count is added to every bin of Q that P occupies, so that Q is not zero there; and Q
    is not scaled up to a sum of 1, or a range with nearly everything outside would look perfect: the divergence of P
    from such a Q is the sum of P log(P / Q) - P + Q.

    A candidate has at least 256 bins, one a level, so the result is never less than a 16th of what was seen.
    """
    counts, edges, zero = _nonzero(histogram), histogram.edges, histogram.grid.zero
    levels, bins = _STEPS + 1, len(counts)
    if bins < levels or not counts.any():
        return histogram.minimum, histogram.maximum
    divergence = _Divergence(counts)
    low, high, least = 0, bins, math.inf
    while True:
        # The bound at hand is among the candidates, so that the divergence never grows and the search ends.
        highs = np.append(low + _spans(max(zero - low, levels), bins - low), high)
        high = int(highs[np.argmin(divergence(np.full_like(highs, low), highs))])
        lows = np.append(high - _spans(max(high - zero, levels), high), low)
        divergences = divergence(lows, np.full_like(lows, high))
        low = int(lows[np.argmin(divergences)])
        if divergences.min() >= least:
            return float(edges[low]), float(edges[high])
        least = float(divergences.min())


def _spans(shortest: int, longest: int) -> NDArray[np.int64]:
    """Numbers of bins from ``shortest`` to ``longest``, both included, by equal factors where they are too many."""
    return np.unique(np.rint(np.geomspace(shortest, longest, _ENTROPY_CANDIDATES)).astype(np.int64))


class _Divergence:
    """P's divergence from Q, for many candidate ranges at once, from running sums over the bins."""

    def __init__(self, counts: NDArray[np.int64]) -> None:
        self.counts = counts.astype(np.float64)  # [B]
        self.below = np.append(0.0, np.cumsum(self.counts))  # [B + 1], how many lie below each edge
        self.occupied = np.append(0, np.cumsum(counts > 0))  # [B + 1]
        self.information = np.append(0.0, np.cumsum(_x_log_x(self.counts)))  # [B + 1]

    def __call__(self, low: NDArray[np.int64], high: NDArray[np.int64]) -> NDArray[np.float64]:
        """The divergence for the bins low <= i < high, [M], in nats."""
        steps = (np.arange(1, _STEPS + 1) - 0.5) / _STEPS
        inner = np.rint(low[:, None] + steps * (high - low)[:, None]).astype(np.int64)
        borders = np.concatenate([low[:, None], inner, high[:, None]], axis=1)  # [M, 257]
        inside = np.diff(self.below[borders])  # [M, 256]
        occupied = np.diff(self.occupied[borders])  # [M, 256]
        total = float(self.below[-1])
        outside = np.stack([self.below[low], total - self.below[high]], axis=1)  # [M, 2]
        outermost = np.stack([self.counts[low], self.counts[high - 1]], axis=1)  # [M, 2]

        information = self.information[high] - self.information[low]
        information += (_x_log_x(outermost + outside) - _x_log_x(outermost)).sum(axis=1)
        ends = [0, -1]
        occupied[:, ends] += (outermost == 0) & (outside > 0)
        p = inside.copy()
        p[:, ends] += outside
        q = inside + occupied  # [M, 256], in counts, as p; both become shares when they are divided by the total
        crossed = (p * np.log(np.where(occupied > 0, q, 1.0) / np.maximum(occupied, 1))).sum(axis=1)
        result: NDArray[np.float64] = (information - crossed + q.sum(axis=1)) / total - 1.0
        return result


def _x_log_x(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return x * np.log(np.where(x > 0, x, 1.0))


# --- the file -------------------------------------------------------------------------------------------------------
