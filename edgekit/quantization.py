"""Quantization parameters, exact integer arithmetic, and the scale solver.

Everything is affine: ``real = scale * (stored - zero_point)``. Activations are int8 with one scale a tensor, weights
int8 in [-127, 127] with one scale an output channel and zero point 0, biases int32 at input scale times weight scale.

**Tie-free scales.** An operator accumulates integers and *requantizes*: it multiplies the accumulator n by a real ratio
r = S_in S_w / S_out and rounds. Kernels differ in how they round a tie, and in the last bits of r. If r = p / q in lowest
terms with q odd, both differences vanish:

    n p / q is never k + 1/2, because 2 n p = q (2 k + 1) would make an even number odd. The nearest it can come to a
    tie is |n p / q - (k + 1/2)| = |2 n p - q (2 k + 1)| / (2 q) >= 1 / (2 q), the numerator being an odd integer.

So every kernel whose result before rounding is off by less than 1 / (2 q) yields the same integer, however it breaks ties.
For an ADD, n p / q becomes (n_a p_a + n_b p_b) / q with one common odd q, and the same proof holds.

How far a float32 kernel is off: the three scales are stored rounded, their product and quotient, the conversion of the
accumulator and the last product are rounded: seven roundings of relative error u = 2**-24. A result that is not
saturated has a magnitude of at most 255.5, so the error stays below 255.5 * 7 u = 1.07e-4, and q <= 4095
(1 / (2 q) >= 1.22e-4) is safe. XNNPACK's ADD multiplies by 20-bit fixed point numbers (src/qs8-vadd, params init in
src/microparams-init.c): an error of at most 2 * 255 / 2**21 = 2.43e-4, and q <= 1023 (1 / (2 q) >= 4.88e-4) is safe.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

INT8_MIN, INT8_MAX = -128, 127
WEIGHT_MIN, WEIGHT_MAX = -127, 127  # TFLite's int8 specification: weights are symmetric, -128 is unused
BIAS_LIMIT = 2**30  # half of int32, so that accumulator plus bias cannot overflow

SCALE_TOLERANCE = 0.005  # how far the solver may move a scale from the one that is wanted
MAX_DENOMINATOR = 4095  # see the module's docstring
MAX_DENOMINATOR_ADD = 1023  # see the module's docstring


class NoTieFreeScaleError(ArithmeticError):
    """No odd denominator in bounds comes near enough to the wanted scales."""


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class QuantParams:
    """``real = scale * (stored - zero_point)``.

    Attributes:
        scale: float32, [1], or [C] for weights with a scale an output channel (axis 0).
        zero_point: of int8 storage; 0 for weights.
    """

    scale: NDArray[np.float32]
    zero_point: int = 0

    def quantize(self, real: NDArray[np.floating]) -> NDArray[np.int8]:
        """The nearest int8 values, saturated to [-128, 127]; half to even. ``scale`` broadcasts over axis 0."""
        scale = self.scale.astype(np.float64).reshape(-1, *[1] * (real.ndim - 1)) if self.scale.size > 1 else self.scale
        stored = np.rint(np.asarray(real, np.float64) / scale) + self.zero_point
        return np.clip(stored, INT8_MIN, INT8_MAX).astype(np.int8)

    def dequantize(self, stored: NDArray[np.integer]) -> NDArray[np.float32]:
        """The real values, float32, computed as the runtimes do: one float32 product."""
        scale = self.scale.reshape(-1, *[1] * (stored.ndim - 1)) if self.scale.size > 1 else self.scale
        return scale * (stored.astype(np.int32) - self.zero_point).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Ratio:
    """Requantization ratios numerator / denominator, every denominator odd.

    One entry an output channel for convolutions and linear layers, one entry for MUL and MEAN, one entry an operand for
    ADD (its two denominators are equal). Shapes [n], int64.
    """

    numerator: NDArray[np.int64]
    denominator: NDArray[np.int64]

    def __post_init__(self) -> None:
        assert (self.denominator % 2 == 1).all(), "a tie-free ratio has an odd denominator"
        assert (self.numerator > 0).all(), "a ratio is positive"

    @property
    def value(self) -> NDArray[np.float64]:
        """The ratios as float64, [n]."""
        return self.numerator / self.denominator

    def fraction(self, index: int = 0) -> Fraction:
        """One of the ratios, exact."""
        return Fraction(int(self.numerator[index]), int(self.denominator[index]))

    @staticmethod
    def of(*fractions: tuple[int, int]) -> Ratio:
        """A Ratio from (numerator, denominator) pairs.

        >>> Ratio.of((1, 3), (2, 3)).value.round(3).tolist()
        [0.333, 0.667]
        """
        numerators, denominators = zip(*fractions, strict=True)
        return Ratio(np.array(numerators, np.int64), np.array(denominators, np.int64))


def requantize(
    accumulator: NDArray[np.floating] | NDArray[np.integer],
    numerator: NDArray[np.int64],
    denominator: NDArray[np.int64],
    zero_point: int,
) -> NDArray[np.int8]:
    """``accumulator * numerator / denominator``, rounded to the nearest integer, plus ``zero_point``, saturated to int8.

    Exact although it divides in float64: the product is an integer below 2**53, so the quotient is off by at most
    2**-53 of itself, far less than the 1 / (2 q) that separates it from a tie. Arguments broadcast.
    """
    value = np.rint(accumulator.astype(np.float64, copy=False) * numerator / denominator) + zero_point
    return np.clip(value, INT8_MIN, INT8_MAX).astype(np.int8)


def activation_params(low: float, high: float) -> tuple[float, int]:
    """The scale and int8 zero point that represent [low, high], widened to hold 0.

    The zero point is rounded to the nearest integer, so that real 0 is represented exactly.

    >>> activation_params(0.0, 6.0)[1], activation_params(-1.0, 1.0)[1]
    (-128, 0)
    """
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / (INT8_MAX - INT8_MIN)
    zero_point = int(np.clip(np.rint(INT8_MIN - low / scale), INT8_MIN, INT8_MAX))
    return scale, zero_point


# --- the scale solver -----------------------------------------------------------------------------------------------


def odd_fractions(
    wanted: NDArray[np.floating], tolerance: float = SCALE_TOLERANCE, limit: int = MAX_DENOMINATOR
) -> Ratio:
    """For each wanted ratio the fraction with the smallest odd denominator that lies within ``tolerance`` of it.

    A small denominator leaves the widest margin to a tie. A ratio below 1 / limit is raised to 1 / limit: for weights
    that is the floor under their scale that keeps biases small and dead channels harmless.

    Args:
        wanted: ratios, [n], positive.
        tolerance: relative.
        limit: the largest denominator, odd.

    Raises:
        NoTieFreeScaleError: no denominator up to ``limit`` serves.

    >>> odd_fractions(np.array([0.25, 0.1, 1e-9]))
    Ratio(numerator=array([26,  7,  1]), denominator=array([ 103,   69, 4095]))
    """
    target = np.maximum(np.asarray(wanted, np.float64).reshape(-1), 1.0 / limit)
    numerator = np.zeros(target.size, np.int64)
    denominator = np.zeros(target.size, np.int64)
    missing = np.arange(target.size)
    for q in range(1, limit + 1, 2):
        p = np.maximum(np.rint(target[missing] * q), 1.0)
        good = np.abs(p / (q * target[missing]) - 1.0) <= tolerance
        numerator[missing[good]], denominator[missing[good]] = p[good].astype(np.int64), q
        missing = missing[~good]
        if missing.size == 0:
            return Ratio(numerator, denominator)
    raise NoTieFreeScaleError(f"no odd denominator up to {limit} brings {target[missing[0]]:g} within {tolerance:.2%}")


@dataclass(frozen=True, slots=True)
class AddScales:
    """What ``solve_add`` decided: S_a / S_out = numerator_a / q and S_b / S_out = numerator_b / q, exactly."""

    ratio: Ratio
    b: Fraction
    out: Fraction


def solve_add(
    a: Fraction, wanted_b: Fraction, wanted_out: Fraction, *, fixed_b: bool, tolerance: float = SCALE_TOLERANCE
) -> AddScales:
    """Scales for ``a + b``, given the scale of ``a``: those of ``b`` (unless it is fixed) and of the sum.

    The common denominator q is the smallest odd one, at most 1023, for which both scales stay within ``tolerance``.

    Raises:
        NoTieFreeScaleError: no such q; with a fixed ``b`` the ratio of the operands' scales may admit none.
    """
    for q in range(1, MAX_DENOMINATOR_ADD + 1, 2):
        p_a = max(round(q * a / wanted_out), 1)
        out = a * q / p_a
        if abs(out / wanted_out - 1) > tolerance:
            continue
        p_b = q * wanted_b / out if fixed_b else Fraction(max(round(q * wanted_b / out), 1))
        b = out * p_b / q
        if p_b.denominator == 1 and abs(b / wanted_b - 1) <= tolerance:
            return AddScales(Ratio.of((p_a, q), (int(p_b), q)), b, out)
    raise NoTieFreeScaleError(
        f"no odd denominator up to {MAX_DENOMINATOR_ADD} fits operand scales {float(a):g} and {float(wanted_b):g} "
        f"to an output scale of {float(wanted_out):g}"
    )
