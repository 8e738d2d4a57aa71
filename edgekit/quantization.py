"""Quantization parameters, exact integer arithmetic, and the scale solver.

Everything is affine: ``real = scale * (stored - zero_point)``. Activations are int8 with one scale a tensor, weights
int8 in [-127, 127] with one scale an output channel and zero point 0, biases int32 at input scale times weight scale.

**Tie-free scales.** An operator accumulates integers and *requantizes*: it multiplies the accumulator n by a real
ratio r = S_in S_w / S_out and rounds. Kernels differ in how they round a tie, and in the last bits of r. If r = p / q
in lowest terms with q odd, both differences vanish:

    n p / q is never k + 1/2, because 2 n p = q (2 k + 1) would make an even number odd. The nearest it can come to a
    tie is |n p / q - (k + 1/2)| = |2 n p - q (2 k + 1)| / (2 q) >= 1 / (2 q), the numerator being an odd integer.

So every kernel whose result before rounding is off by less than 1 / (2 q) yields the same integer, however it breaks
ties. For an ADD, n p / q becomes (n_a p_a + n_b p_b) / q with one common odd q, and the same proof holds.

**How far off kernels are**, in steps of the output. One float32 rounding is off by at most u = 2**-24, relatively, and
a result that does not saturate has a magnitude of at most 255.

CONV, LINEAR, MUL: the three stored scales, their product, their quotient, the accumulator's conversion (exact below
    2**24, so in every MUL) and the last product are rounded: 7 u of the result. MLAS adds the zero point in float32 in
    its MUL alone: 7 u again. 255 * 7 u = 1.06e-4, so q <= 4095 is safe, 1 / (2 q) being 1.22e-4. XNNPACK's fixed point
    MUL on Arm (rndnu) holds the float32 ratio exactly and drops only bits that its rounding would not look at: 5 u.
ADD: XNNPACK rounds both ratios to multiples of 2**(e - 20), where 2**e is the power of two below the larger ratio m
    (src/microparams-init.c). That costs 255 * 2**-20 max(m, 1), and the three roundings in each ratio cost 255 m * 3 u
    twice: 3.4e-4 max(m, 1) together. MLAS on x86 (qladd.cpp) moves the zero points into a float32 constant, which costs
    255 m * 8 u twice and 255 * 3 u: 2.9e-4 max(m, 1). As m = max(p_a, p_b) / q, both are safe, that is below 1 / (2 q),
    while no p and no q exceeds 1023.
MEAN of N values: XNNPACK (reduce-nd.c) moves both zero points into a float32 constant. With R = S_in / S_out that
    costs (5 * 255 + 2 * 128 + 3 * 128 R) u, so q <= 2**23 / (1531 + 384 R) is safe. The smallest q is at most
    (200 + N / R) / 0.995 (see ``odd_fractions``), so N <= 4096 is safe for R from 1 to 64. Beyond that there still are
    no ties, but a result can lie nearer to one than the kernel is precise. Whether any does is computed, for the sums
    on both sides of every tie: ``edgekit.mean``.

A pure float32 simulation (ONNX Runtime without graph optimization, Core ML) also rounds every product and partial sum
of a convolution. Where terms differ, no useful bound holds; the small q that the solver prefers leave them room. Where
all are alike, as in average pools and means, ``edgekit.float_sums`` has one.

Sources: XNNPACK 75db3c0, ONNX Runtime's MLAS (onnxruntime/core/mlas/lib) of 2026.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

INT8_MIN, INT8_MAX = -128, 127
INT16_MAX = 32767  # TFLite's 16-bit specification: activations are symmetric, their zero point is 0
WEIGHT_MIN, WEIGHT_MAX = -127, 127  # TFLite's int8 specification: weights are symmetric, -128 is unused
# The largest weight by the bits that weights are given. On x86 without VNNI, kernels clamp the sum of two products of
# uint8 and int8 to 16 bits (``edgekit.runtimes.processor``): 2 * 255 * 64 = 32640 is within them, 2 * 255 * 65 is not.
WEIGHT_LIMITS = {8: WEIGHT_MAX, 7: 64}
BIAS_LIMIT = 2**30  # half of int32, so that accumulator plus bias cannot overflow

SCALE_TOLERANCE = 0.005  # how far the solver may move a scale from the one that is wanted
MAX_DENOMINATOR = 4095  # see the module's docstring
_DENOMINATORS = 128  # that are tried at once: as many as numpy computes with as fast as it is called
MAX_TERM_ADD = 1023  # of an ADD, for numerators and denominator alike: see the module's docstring
_FAR_OFF = 0.05  # what is wrong by as much as that is no rounding any more
RATIO_LIMIT = 256  # XNNPACK refuses ratios that reach it: convolution-nhwc.c, microparams-init.c
FLOAT32_EXACT = 2**24  # up to here float32 holds every integer


class NoTieFreeScaleError(ArithmeticError):
    """No fraction with an odd denominator in bounds comes near enough to the wanted scales."""


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class QuantParams:
    """``real = scale * (stored - zero_point)``.

    Attributes:
        scale: float32, [1], or [C] for weights with a scale an output channel (axis 0).
        zero_point: of the stored integers; 0 for weights and of 16 bits.
        bits: of the stored integers, 8 or 16.
    """

    scale: NDArray[np.float32]
    zero_point: int = 0
    bits: int = 8

    @property
    def dtype(self) -> type[np.int8 | np.int16]:
        """The type of the stored integers."""
        return np.int8 if self.bits == 8 else np.int16

    def quantize(self, real: NDArray[np.floating]) -> NDArray[Any]:
        """The nearest stored integers, saturated; half to even. Several scales belong to axis 0."""
        scale = self.scale.astype(np.float64)
        if scale.size > 1:
            scale = scale.reshape(-1, *[1] * (real.ndim - 1))
        stored = np.rint(real / scale) + self.zero_point
        limits = np.iinfo(self.dtype)
        return np.clip(stored, limits.min, limits.max, out=stored).astype(self.dtype)

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
    """``accumulator * numerator / denominator``, rounded to nearest, plus ``zero_point``, saturated to int8.

    Exact although it computes in float64: quotient and product are each off by at most 2**-53 of themselves, so that a
    result within int8 is off by less than 2**-44, far less than the 1 / (2 q) that separates it from a tie. Arguments
    broadcast.
    """
    value = np.multiply(accumulator, numerator / denominator, dtype=np.float64)
    np.rint(value, out=value)
    value += zero_point
    return _to_int8(value)


def _to_int8(values: NDArray[np.float64]) -> NDArray[np.int8]:
    """Saturated; ``values`` is overwritten."""
    saturated: NDArray[np.float64] = np.clip(values, INT8_MIN, INT8_MAX, out=values)
    return saturated.astype(np.int8)


def accumulator_bound(weight: NDArray[np.int8], bias: NDArray[np.int32], zero_point: int) -> int:
    """The largest magnitude of any partial sum of a convolution or linear layer, in whatever order it is summed up.

    Up to ``FLOAT32_EXACT`` all of them are exact in float32, which BLAS is fastest with, and always in float64.

    Args:
        weight: [O, ...].
        bias: [O].
        zero_point: of the input.
    """
    reach = max(INT8_MAX - zero_point, zero_point - INT8_MIN)
    magnitudes = np.abs(weight.reshape(len(weight), -1).astype(np.int64)).sum(1)  # [O]
    return int((magnitudes * reach + np.abs(bias.astype(np.int64))).max())


def activation_params(low: float, high: float) -> tuple[float, int]:
    """The scale and int8 zero point that represent [low, high], widened to hold 0. One of the bounds is not 0.

    The zero point is rounded to the nearest integer, so that real 0 is represented exactly.

    >>> activation_params(0.0, 6.0)[1], activation_params(-1.0, 1.0)[1]
    (-128, 0)
    """
    low, high = min(low, 0.0), max(high, 0.0)
    assert low < high, "a range has a width"
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

    It always succeeds with the default tolerance and limit. For a ratio 1 / x, the q that suit a numerator p lie
    between p x / 1.005 and p x / 0.995. An odd integer is among them once p x >= 200, hence q <= (200 + x) / 0.995,
    which is at most 4095 for x <= 3874. For x from 3874 to 4095, the odd integer next to x suits p = 1.

    Args:
        wanted: ratios, [n], positive.
        tolerance: relative.
        limit: the largest denominator, odd.

    Raises:
        NoTieFreeScaleError: no denominator up to ``limit`` serves.

    >>> odd_fractions(np.array([0.25, 0.1, 1e-9]))
    Ratio(numerator=array([50, 20,  1]), denominator=array([ 201,  201, 4075]))
    """
    target = np.maximum(np.asarray(wanted, np.float64).reshape(-1), 1.0 / limit)
    numerator = np.zeros(target.size, np.int64)
    denominator = np.zeros(target.size, np.int64)
    missing = np.arange(target.size)
    for first in range(1, limit + 1, 2 * _DENOMINATORS):
        q = np.arange(first, min(first + 2 * _DENOMINATORS, limit + 1), 2)  # [q]
        left = target[missing, None]  # [missing, 1]
        p = np.maximum(np.rint(left * q), 1.0)
        good = np.abs(p / (q * left) - 1.0) <= tolerance
        found, smallest = good.any(1), good.argmax(1)
        numerator[missing[found]] = p[found, smallest[found]].astype(np.int64)
        denominator[missing[found]] = q[smallest[found]]
        missing = missing[~found]
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

    The common denominator q is the smallest odd one whose nearest fractions keep both scales within ``tolerance``.
    Where there is none, which takes ratios far from 1, the sum's scale comes first: among the q that keep it within
    ``tolerance``, or else come nearest to it, that which moves ``b`` least. No scale is lowered by more than
    ``tolerance``, because saturation is worse than a coarser grid.

    Raises:
        NoTieFreeScaleError: there is no q, because a ratio is below 1/1023 or reaches 256, or because both operands are
            fixed and their scales are not in the ratio of two small integers.
    """
    refusal = NoTieFreeScaleError(
        f"no tie-free ratios fit operand scales of {float(a):g} and {float(wanted_b):g} to an output scale of "
        f"{float(wanted_out):g}"
    )
    # Where b is fixed, p_a / p_b has to be the ratio of the scales, n / d.
    n, d = (a / wanted_b).as_integer_ratio() if fixed_b else (1, 1)
    if max(n, d) > MAX_TERM_ADD:
        raise refusal
    ratio_a, ratio_b = float(a / wanted_out), float(wanted_b / wanted_out)
    q = np.arange(1, MAX_TERM_ADD + 1, 2)
    steps = _not_above(q * ratio_a / n, tolerance)
    q, steps = q[steps > 0], steps[steps > 0]
    p_a = n * steps
    p_b = d * steps if fixed_b else _not_below(p_a * (ratio_b / ratio_a), tolerance)
    out, b = q * ratio_a / p_a, p_b / p_a * (ratio_a / ratio_b)  # in units of what is wanted
    reachable = np.maximum(p_a, p_b) <= np.minimum(MAX_TERM_ADD, RATIO_LIMIT * q - 1)
    if not reachable.any():
        raise refusal
    excess_out, excess_b = (np.where(reachable, np.maximum(np.abs(v - 1) - tolerance, 0), np.inf) for v in (out, b))
    best = np.lexsort((q, excess_b, excess_out))[0]
    chosen_q, chosen_a, chosen_b = int(q[best]), int(p_a[best]), int(p_b[best])
    return AddScales(
        ratio=Ratio.of((chosen_a, chosen_q), (chosen_b, chosen_q)),
        b=a * chosen_b / chosen_a,
        out=a * chosen_q / chosen_a,
    )


def _not_above(wanted: NDArray[np.floating], tolerance: float) -> NDArray[np.int64]:
    """The nearest integers, or the next lower ones where those exceed what is wanted by more than ``tolerance``."""
    nearest: NDArray[np.int64] = np.rint(wanted).astype(np.int64)
    return nearest - (nearest * (1 - tolerance) > wanted)


def _not_below(wanted: NDArray[np.floating], tolerance: float) -> NDArray[np.int64]:
    """The nearest integers, or the next higher ones where those miss what is wanted by more than ``tolerance``."""
    nearest: NDArray[np.int64] = np.rint(wanted).astype(np.int64)
    return nearest + (nearest < wanted * (1 - tolerance))


@dataclass(frozen=True, slots=True)
class ConstantScales:
    """What ``solve_add_constant`` decided: the constant is ``stored * constant``; the rest is as in AddScales."""

    ratio: Ratio
    stored: int
    constant: Fraction
    out: Fraction


def solve_add_constant(x: Fraction, value: float, wanted_out: Fraction, *, tolerance: float) -> ConstantScales:
    """Scales for ``x + value``, given the scale of ``x``: those of the constant and of the sum.

    In units of the sum, the constant is stored * p_b / q with two free factors, which comes far nearer to ``value``
    than p_b / q times a fixed integer. The denominator q is the smallest odd one for which both the constant and the
    sum's scale are within ``tolerance``, or, where there is none, that which comes nearest.

    Raises:
        NoTieFreeScaleError: S_x / S_out is below 1/1023 or reaches 256, or the constant is far beyond the sum's range.
    """
    ratio = float(x / wanted_out)
    q = np.arange(1, MAX_TERM_ADD + 1, 2)
    p_x = np.rint(q * ratio).astype(np.int64)
    reachable = (p_x > 0) & (p_x <= MAX_TERM_ADD) & (p_x < RATIO_LIMIT * q)
    q, p_x = q[reachable], p_x[reachable]
    out = q * ratio / p_x  # in units of what is wanted
    wanted = value / float(wanted_out) * q / out  # [Q], what stored * p_b should be
    # Seven bits of a stored constant are used where it is large enough; [Q, P].
    p_b = np.rint(np.abs(wanted)[:, None] / np.arange(WEIGHT_MAX, WEIGHT_MAX // 2, -1))
    p_b = np.clip(p_b, 1, np.minimum(RATIO_LIMIT * q - 1, MAX_TERM_ADD)[:, None])
    stored = np.clip(np.rint(wanted[:, None] / p_b), WEIGHT_MIN, WEIGHT_MAX)
    # Relative to the constant, or to 16 steps of the sum where it is less: half a step more or less is a rounding.
    off_constant = np.abs(stored * p_b - wanted[:, None]) / np.maximum(np.abs(wanted), 16 * q)[:, None]
    off = np.maximum(np.abs(out - 1), off_constant.min(1, initial=np.inf))
    if off.min(initial=np.inf) > _FAR_OFF:
        raise NoTieFreeScaleError(
            f"no tie-free ratios fit an operand scale of {float(x):g} and a constant of {value:g} to an output scale "
            f"of {float(wanted_out):g}"
        )
    best = int(np.argmin(np.maximum(off - tolerance, 0)))  # the first, and thus the smallest q, of equals
    nearest = int(np.argmin(off_constant[best]))
    chosen_q, chosen_x, chosen_b = int(q[best]), int(p_x[best]), int(p_b[best, nearest])
    return ConstantScales(
        ratio=Ratio.of((chosen_x, chosen_q), (chosen_b, chosen_q)),
        stored=int(stored[best, nearest]),
        constant=x * chosen_b / chosen_x,
        out=x * chosen_q / chosen_x,
    )
