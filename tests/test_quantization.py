"""Exact arithmetic and the scale solver, against fractions and against what the kernels really compute."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edgekit.quantization import (
    BIAS_LIMIT,
    MAX_DENOMINATOR,
    MAX_TERM_ADD,
    RATIO_LIMIT,
    SCALE_TOLERANCE,
    NoTieFreeScaleError,
    QuantParams,
    Ratio,
    accumulator_bound,
    activation_params,
    odd_fractions,
    requantize,
    solve_add,
    solve_add_constant,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

prove = settings(deadline=None, max_examples=60, derandomize=True)  # a busy machine is no error
SLACK = 1e-12  # for tolerances that the solver checks in float64
zero_points = st.integers(-128, 127)


def ratios(low: float, high: float) -> st.SearchStrategy[float]:
    """Ratios whose logarithms are spread evenly."""
    return st.floats(math.log(low), math.log(high)).map(math.exp)


def rounded(value: Fraction) -> int:
    """The nearest integer of what is no tie."""
    assert (value * 2).denominator != 1 or value.denominator == 1, f"{value} is a tie"
    return math.floor(value + Fraction(1, 2))


# --- requantization -------------------------------------------------------------------------------------------------


@prove
@given(ratios(1e-5, 255), st.integers(-(2**31), 2**31), zero_points)
def test_requantize_is_exact(wanted: float, accumulator: int, zero_point: int) -> None:
    ratio = odd_fractions(np.array([wanted]))
    expected = min(max(rounded(accumulator * ratio.fraction()) + zero_point, -128), 127)
    got = requantize(np.array([accumulator]), ratio.numerator, ratio.denominator, zero_point)
    assert got.dtype == np.int8
    assert got.tolist() == [expected]


@pytest.mark.parametrize("wanted", [1 / 4095, 0.0021, 0.037, 0.25, 0.5, 0.98, 1.7, 60.0, 255.0])
def test_requantize_next_to_ties(wanted: float) -> None:
    """Everywhere in int8 where the result is as near to a tie as it can get, on either side."""
    ratio = odd_fractions(np.array([wanted]))
    n = next_to_ties(ratio.fraction())
    p, q = int(ratio.numerator[0]), int(ratio.denominator[0])
    assert {abs(2 * int(i) * p % (2 * q) - q) for i in n} == {1}  # so they are
    expected = np.clip((2 * n * p + q) // (2 * q) + 3, -128, 127)
    assert (requantize(n, ratio.numerator, ratio.denominator, 3) == expected).all()
    assert (requantize(n.astype(np.float64), ratio.numerator, ratio.denominator, 3) == expected).all()


def next_to_ties(ratio: Fraction) -> NDArray[np.int64]:
    """Accumulators n for which |n p / q - (k + 1/2)| is 1 / (2 q), all over int8 and a little beyond."""
    p, q = ratio.numerator, ratio.denominator
    inverse = pow(p, -1, q)
    period = np.array([(q // 2) * inverse % q, (q // 2 + 1) * inverse % q])  # n p = (q - 1) / 2 or (q + 1) / 2 mod q
    reach = 300 * q // p
    return np.concatenate([np.arange(start - q * (reach // q + 1), reach + 1, q) for start in period])


def test_requantize_broadcasts_over_channels() -> None:
    ratio = Ratio.of((1, 3), (2, 3))
    accumulator = np.array([[[10]], [[10]]], np.float32)  # [C, H, W]
    got = requantize(accumulator, ratio.numerator[:, None, None], ratio.denominator[:, None, None], -1)
    assert got.reshape(-1).tolist() == [2, 6]  # 3.33 - 1, 6.67 - 1


def test_a_ratio_is_odd_and_positive() -> None:
    with pytest.raises(AssertionError, match="odd"):
        Ratio.of((1, 2))
    with pytest.raises(AssertionError, match="positive"):
        Ratio.of((0, 3))
    assert Ratio.of((6, 4095), (1, 3)).fraction(1) == Fraction(1, 3)


@prove
@given(st.lists(st.integers(-127, 127), min_size=3, max_size=12), st.integers(-BIAS_LIMIT, BIAS_LIMIT), zero_points)
def test_accumulator_bound_is_reached_and_never_exceeded(weights: list[int], bias: int, zero_point: int) -> None:
    weight = np.array([weights], np.int8)
    bound = accumulator_bound(weight, np.array([bias], np.int32), zero_point)
    extremes = np.array([-128 - zero_point, 127 - zero_point])
    sums = [np.where(np.array(weights) * sign > 0, extremes.max(), extremes.min()) @ weights for sign in (1, -1)]
    assert max(abs(int(s) + bias) for s in sums) <= bound
    reach = np.abs(extremes).max()
    assert bound == sum(abs(w) * int(reach) for w in weights) + abs(bias)


# --- parameters -----------------------------------------------------------------------------------------------------


@prove
@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_activation_params(low: float, high: float) -> None:
    low, high = min(low, high, 0.0), max(low, high, 0.0)
    assume(high - low > 1e-6)
    scale, zero_point = activation_params(low, high)
    assert -128 <= zero_point <= 127
    assert scale * 255 == pytest.approx(high - low)
    # The grid is off by at most half a step at either end, which rounding the zero point costs.
    assert scale * (-128 - zero_point) == pytest.approx(low, abs=scale * 0.501)
    assert scale * (127 - zero_point) == pytest.approx(high, abs=scale * 0.501)


def test_quantize_saturates_and_rounds_half_to_even() -> None:
    params = QuantParams(np.array([0.5], np.float32), 3)
    stored = params.quantize(np.array([-1e9, -0.75, -0.25, 0.0, 0.25, 0.75, 1e9]))
    assert stored.tolist() == [-128, 1, 3, 3, 3, 5, 127]
    assert params.dequantize(stored).tolist() == [-65.5, -1.0, 0.0, 0.0, 0.0, 1.0, 62.0]


def test_several_scales_belong_to_the_first_axis() -> None:
    params = QuantParams(np.array([0.5, 0.25], np.float32))
    real = np.ones((2, 3, 1, 1))
    assert params.quantize(real).reshape(2, 3).tolist() == [[2] * 3, [4] * 3]
    assert (params.dequantize(params.quantize(real)) == real).all()


# --- one ratio ------------------------------------------------------------------------------------------------------


def smallest_odd_denominator(wanted: Fraction, tolerance: Fraction) -> int:
    q = 1
    while abs(max(round(wanted * q), 1) / (wanted * q) - 1) > tolerance:
        q += 2
    return q


@prove
@given(ratios(1 / 4095, 255))
def test_odd_fractions_finds_the_smallest_denominator(wanted: float) -> None:
    ratio = odd_fractions(np.array([wanted])).fraction()
    exact = Fraction(wanted)
    assert ratio.denominator % 2 == 1
    assert ratio.denominator <= min(MAX_DENOMINATOR, (200 + 1 / wanted) / 0.995 + 2)
    assert abs(ratio / exact - 1) <= SCALE_TOLERANCE + SLACK
    assert smallest_odd_denominator(exact, Fraction(SCALE_TOLERANCE + SLACK)) <= ratio.denominator
    assert ratio.denominator <= smallest_odd_denominator(exact, Fraction(SCALE_TOLERANCE - SLACK))


def test_odd_fractions_always_succeeds() -> None:
    wanted = np.concatenate([np.geomspace(1 / 4095, 256, 20_000), 1 / np.arange(1, 4096), np.arange(1, 257) / 4])
    ratio = odd_fractions(wanted)
    assert np.abs(ratio.value / wanted - 1).max() <= SCALE_TOLERANCE + SLACK
    assert ratio.denominator.max() <= MAX_DENOMINATOR
    assert (np.gcd(ratio.numerator, ratio.denominator) == 1).all()
    assert (ratio.denominator <= (200 + 1 / wanted) / 0.995 + 1).all() or (wanted < 1 / 3874).any()


def test_small_ratios_are_raised() -> None:
    assert odd_fractions(np.array([0.0, 1e-30, 1 / 4095])).value.tolist() == pytest.approx([1 / 4095] * 3, rel=0.006)
    assert odd_fractions(np.array([1 / 9000]), limit=10_001).value[0] == pytest.approx(1 / 9000, rel=0.005)


def test_odd_fractions_says_what_it_could_not_reach() -> None:
    with pytest.raises(NoTieFreeScaleError, match=r"no odd denominator up to 99 brings 0\.25"):
        odd_fractions(np.array([0.5**2]), tolerance=0.0, limit=99)


# --- sums -----------------------------------------------------------------------------------------------------------


@prove
@given(ratios(1 / 64, 16), ratios(1 / 64, 16), ratios(1e-6, 1e3))
def test_solve_add(wanted_a: float, wanted_b: float, unit: float) -> None:
    a, b, out = Fraction(wanted_a * unit), Fraction(wanted_b * unit), Fraction(unit)
    solution = solve_add(a, b, out, fixed_b=False)
    assert_add(solution.ratio, a, solution.b, solution.out)
    assert 1 - SCALE_TOLERANCE - SLACK <= solution.out / out <= 1.05
    assert 1 - SCALE_TOLERANCE - SLACK <= solution.b / b <= 1.07


@prove
@given(ratios(1 / 4, 4), ratios(1 / 4, 4))
def test_usual_sums_move_scales_little(wanted_a: float, wanted_b: float) -> None:
    a, b = Fraction(wanted_a), Fraction(wanted_b)
    solution = solve_add(a, b, Fraction(1), fixed_b=False)
    limit = SCALE_TOLERANCE + SLACK
    assert abs(solution.out - 1) <= limit
    assert abs(solution.b / b - 1) <= limit
    # No smaller odd denominator would do.
    q = np.arange(1, int(solution.ratio.denominator[0]), 2)
    p_a = np.maximum(np.rint(q * wanted_a), 1)
    p_b = np.maximum(np.rint(p_a * wanted_b / wanted_a), 1)
    off = np.maximum(np.abs(q * wanted_a / p_a - 1), np.abs(p_b / p_a * wanted_a / wanted_b - 1))
    assert (off > SCALE_TOLERANCE - SLACK).all()


@prove
@given(ratios(1 / 1023, 200), ratios(1e-6, 100), ratios(1e-3, 10))
def test_solve_add_prefers_a_coarser_operand_to_saturation(wanted_a: float, wanted_b: float, unit: float) -> None:
    a, b, out = Fraction(wanted_a * unit), Fraction(wanted_b * unit), Fraction(unit)
    try:
        solution = solve_add(a, b, out, fixed_b=False)
    except NoTieFreeScaleError:  # the operands are too different for one denominator
        assert max(wanted_a, wanted_b) / min(wanted_a, wanted_b) > 500 or min(wanted_a, wanted_b) < 1 / 500
        return
    assert_add(solution.ratio, a, solution.b, solution.out)
    assert solution.out / out >= 1 - SCALE_TOLERANCE - SLACK
    assert solution.b / b >= 1 - SCALE_TOLERANCE - SLACK


def assert_add(ratio: Ratio, a: Fraction, b: Fraction, out: Fraction) -> None:
    assert ratio.denominator[0] == ratio.denominator[1] <= MAX_TERM_ADD
    assert ratio.numerator.max() <= MAX_TERM_ADD
    assert ratio.value.max() < RATIO_LIMIT
    assert ratio.fraction(0) * out == a
    assert ratio.fraction(1) * out == b


@prove
@given(st.integers(1, 60), st.integers(1, 60), ratios(1 / 8, 4))
def test_solve_add_with_both_operands_fixed(n: int, d: int, wanted: float) -> None:
    a, b = Fraction(n, 1000), Fraction(d, 1000)
    out = max(a, b) / Fraction(wanted)
    solution = solve_add(a, b, out, fixed_b=True)
    assert_add(solution.ratio, a, b, solution.out)
    assert solution.out / out >= 1 - SCALE_TOLERANCE - SLACK


def test_unrelated_fixed_operands_have_no_solution() -> None:
    with pytest.raises(NoTieFreeScaleError, match=r"operand scales of 0\.1 and 0\.0314159 to an output scale of 0\.2"):
        solve_add(Fraction(0.1), Fraction(math.pi / 100), Fraction(0.2), fixed_b=True)


@prove
@given(ratios(1 / 64, 200), st.sampled_from([3.0, -3.0, 18.0, 0.5, 0.004]), ratios(0.5, 50))
def test_solve_add_constant(wanted: float, value: float, reach: float) -> None:
    out = Fraction(abs(value) * reach / 255)  # so the sum is half to 50 times as wide as the constant
    x = Fraction(wanted) * out
    solution = solve_add_constant(x, value, out, tolerance=1e-3)
    assert_add(solution.ratio, x, solution.constant, solution.out)
    assert abs(solution.stored) <= 127
    assert abs(solution.out / out - 1) <= 0.005
    off = abs(solution.stored * float(solution.constant) - value)
    assert off <= max(0.005 * abs(value), 0.51 * float(solution.out))


def test_the_constant_of_hard_swish_is_nearly_exact() -> None:
    """Its scale and that of x + 3 are errors of the gain: at most 0.1 % for any width of x."""
    out = Fraction(6 / 255)
    for width in np.geomspace(0.6, 200, 300):
        solution = solve_add_constant(Fraction(float(width) / 255), 3.0, out, tolerance=1e-3)
        assert abs(solution.out / out - 1) <= 0.00101
        assert abs(solution.stored * solution.constant / 3 - 1) <= 0.00101
        assert 64 <= abs(solution.stored) <= 127


def test_a_constant_beyond_the_range_of_the_sum() -> None:
    with pytest.raises(
        NoTieFreeScaleError, match=r"operand scale of 0\.01 and a constant of 1e\+06 to an output scale"
    ):
        solve_add_constant(Fraction(0.01), 1e6, Fraction(0.02), tolerance=1e-3)
    with pytest.raises(NoTieFreeScaleError, match=r"operand scale of 1e-05"):
        solve_add_constant(Fraction(1e-5), 3.0, Fraction(0.02), tolerance=1e-3)


def test_a_constant_of_zero() -> None:
    solution = solve_add_constant(Fraction(1, 50), 0.0, Fraction(1, 43), tolerance=1e-3)
    assert solution.stored == 0


# --- what kernels compute -------------------------------------------------------------------------------------------
#
# Each is written down from its source with the same roundings; F is float32.

F = np.float32
Kernel = Any  # (a, b, scales, zero points) -> int8


def half_even(value: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.rint(value).astype(np.int64)


def half_away(value: NDArray[np.float32]) -> NDArray[np.int64]:
    return (np.sign(value) * np.floor(np.abs(value.astype(np.float64)) + 0.5)).astype(np.int64)


def half_up(value: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.floor(value.astype(np.float64) + 0.5).astype(np.int64)


ROUNDINGS = [half_even, half_away, half_up]


def saturated(value: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.clip(value, -128, 127)


def xnnpack_add(a: NDArray[np.int64], b: NDArray[np.int64], s: tuple[F, F, F], z: tuple[int, int, int]) -> Any:
    """qs8-vadd: 20-bit fixed point, half up (src/microparams-init.c, xnn_init_qs8_add_minmax_scalar_params)."""
    r_a, r_b = s[0] / s[2], s[1] / s[2]
    shift = 20 - (math.frexp(max(r_a, r_b))[1] - 1)
    m_a, m_b = (int(np.rint(np.ldexp(r, shift))) for r in (r_a, r_b))
    accumulator = (1 << (shift - 1)) + (a - z[0]) * m_a + (b - z[1]) * m_b
    assert np.abs(accumulator).max() < 2**31
    return saturated((accumulator >> shift) + z[2])


def mlas_add(a: NDArray[np.int64], b: NDArray[np.int64], s: tuple[F, F, F], z: tuple[int, int, int]) -> Any:
    """QLinearAdd on x86, on uint8 (onnxruntime/core/mlas/lib/qladd.cpp, MlasQLinearAddKernelHelper)."""
    a, b, (z_a, z_b, z_c) = a + 128, b + 128, (zero + 128 for zero in z)
    r_a, r_b = s[0] / s[2], s[1] / s[2]
    fixed = F(z_c) - (r_a * F(z_a) + r_b * F(z_b))
    return saturated(half_even((fixed + a.astype(F) * r_a) + b.astype(F) * r_b) - 128)


def float_add(rounding: Callable[..., Any]) -> Kernel:
    """Dequantize, add, quantize: what QDQ graphs mean, whatever the rounding."""

    def add(a: NDArray[np.int64], b: NDArray[np.int64], s: tuple[F, F, F], z: tuple[int, int, int]) -> Any:
        total = s[0] * (a - z[0]).astype(F) + s[1] * (b - z[1]).astype(F)
        return saturated(rounding(total / s[2]) + z[2])

    return add


PAIRS = tuple(grid.reshape(-1) for grid in np.meshgrid(np.arange(-128, 128), np.arange(-128, 128)))
ADD_KERNELS = {
    "xnnpack": xnnpack_add,
    "mlas": mlas_add,
    **{rounding.__name__: float_add(rounding) for rounding in ROUNDINGS},
}
ADD_SCALES = [
    (0.02, 0.03, 0.035),
    (0.1, 0.1, 0.1),
    (0.0123, 0.0007, 0.0131),
    (0.05, 0.021, 0.011),  # the sum is narrower than its operands
    (0.4, 0.31, 0.03),
    (0.001, 0.0013, 0.06),
    (1e-5, 1.3e-5, 1.4e-5),
    (3.7, 1.9, 4.4),
]


@pytest.mark.parametrize("kernel", ADD_KERNELS)
@pytest.mark.parametrize("wanted", ADD_SCALES)
def test_every_add_kernel_gives_the_same_integers(wanted: tuple[float, float, float], kernel: str) -> None:
    scales = [Fraction(scale) for scale in wanted]
    solution = solve_add(scales[0], scales[1], scales[2], fixed_b=False)
    check_add(solution.ratio, (scales[0], solution.b, solution.out), ADD_KERNELS[kernel])


@pytest.mark.parametrize("kernel", ADD_KERNELS)
@pytest.mark.parametrize(
    "terms", [(1022, 1019, 1023), (1023, 511, 1021), (1023, 1022, 511), (1023, 977, 129), (1, 2, 1023)]
)
def test_add_at_the_limits_of_the_solver(terms: tuple[int, int, int], kernel: str) -> None:
    p_a, p_b, q = terms
    out = Fraction(0.0371)
    check_add(Ratio.of((p_a, q), (p_b, q)), (out * p_a / q, out * p_b / q, out), ADD_KERNELS[kernel])


def check_add(ratio: Ratio, scales: tuple[Fraction, ...], kernel: Kernel) -> None:
    a, b = PAIRS
    stored = tuple(F(float(scale)) for scale in scales)
    for zeros in ((0, 0, 0), (-128, -128, -128), (-7, 93, -41), (127, -128, 5)):
        total = (a - zeros[0]) * ratio.numerator[0] + (b - zeros[1]) * ratio.numerator[1]
        expected = requantize(total, np.ones(1, np.int64), ratio.denominator[:1], zeros[2])
        np.testing.assert_array_equal(kernel(a, b, stored, zeros), expected)


def test_an_even_denominator_makes_kernels_differ() -> None:
    """What tie-free scales are for: with ratios of 1/2, one pair in four is a tie."""
    a, b = PAIRS
    scales, zeros = (F(0.5), F(0.5), F(1)), (0, 0, 0)
    results = [ADD_KERNELS[kernel](a, b, scales, zeros) for kernel in ("xnnpack", "half_even", "half_away")]
    assert all((one != other).mean() > 0.2 for one, other in ((results[0], results[1]), (results[1], results[2])))


def xnnpack_mul(a: NDArray[np.int64], b: NDArray[np.int64], s: tuple[F, F, F], z: tuple[int, int, int]) -> Any:
    """qs8-vmul fp32: one float32 product, half to even by way of a magic number (src/qs8-vmul/scalar.c.in)."""
    value = ((a - z[0]) * (b - z[1])).astype(F) * (s[0] * s[1] / s[2])
    value = np.clip(value, F(-128 - z[2]), F(127 - z[2])) + F(12582912.0)
    return (value.view(np.int32) - (0x4B400000 - z[2])).astype(np.int64)


def xnnpack_mul_rndnu(a: NDArray[np.int64], b: NDArray[np.int64], s: tuple[F, F, F], z: tuple[int, int, int]) -> Any:
    """qs8-vmul rndnu on Arm: 31-bit fixed point, half up (xnn_init_qs8_mul_minmax_rndnu_neon_params)."""
    mantissa, exponent = math.frexp(s[0] * s[1] / s[2])
    multiplier, shift = int(math.ldexp(mantissa, 31)), -exponent
    post = max(shift, 1)
    product = np.clip((a - z[0]) * (b - z[1]) << (post - shift), -(2**31), 2**31 - 1)
    high = 2 * product * multiplier >> 32  # vqdmulh
    return saturated(((high + (1 << (post - 1))) >> post) + z[2])


def mlas_mul(a: NDArray[np.int64], b: NDArray[np.int64], s: tuple[F, F, F], z: tuple[int, int, int]) -> Any:
    """QLinearMul on uint8: the zero point is added in float32 (onnxruntime/core/mlas/lib/qlmul.cpp)."""
    value = ((a - z[0]) * (b - z[1])).astype(F) * (s[0] * s[1] / s[2]) + F(z[2] + 128)
    return saturated(half_even(value) - 128)


def float_mul(rounding: Callable[..., Any]) -> Kernel:
    def mul(a: NDArray[np.int64], b: NDArray[np.int64], s: tuple[F, F, F], z: tuple[int, int, int]) -> Any:
        product = s[0] * (a - z[0]).astype(F) * (s[1] * (b - z[1]).astype(F))
        return saturated(rounding(product / s[2]) + z[2])

    return mul


MUL_KERNELS = {
    "xnnpack": xnnpack_mul,
    "xnnpack_rndnu": xnnpack_mul_rndnu,
    "mlas": mlas_mul,
    **{rounding.__name__: float_mul(rounding) for rounding in ROUNDINGS},
}


@pytest.mark.parametrize("kernel", MUL_KERNELS)
@pytest.mark.parametrize("wanted", [1 / 4095, 0.0039, 0.0117, 0.04, 0.25, 0.98, 1.6, 33.0])
def test_every_mul_kernel_gives_the_same_integers(wanted: float, kernel: str) -> None:
    a, b = PAIRS
    ratio = odd_fractions(np.array([wanted]))
    s_a, s_b = 0.0423, 0.0117
    scales = F(s_a), F(s_b), F(s_a * s_b / ratio.value[0])
    for zeros in ((0, 0, 0), (-128, -128, -128), (-7, 93, -41), (127, -128, 5)):
        expected = requantize((a - zeros[0]) * (b - zeros[1]), ratio.numerator, ratio.denominator, zeros[2])
        np.testing.assert_array_equal(MUL_KERNELS[kernel](a, b, scales, zeros), expected)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@prove
@given(ratios(1 / 4095, 255), ratios(1e-6, 1e2), ratios(1e-5, 10))
def test_a_float32_kernel_next_to_ties(rounding: Callable[..., Any], wanted: float, s_in: float, s_out: float) -> None:
    """CONV and LINEAR: the accumulators that come nearest to ties, with three scales stored in float32."""
    ratio = odd_fractions(np.array([wanted]))
    n = next_to_ties(ratio.fraction())
    assume(np.abs(n).max() < 2**31)
    scale = F(s_in) * F(ratio.value[0] * s_out / s_in) / F(s_out)
    got = saturated(rounding(n.astype(np.int32).astype(F) * scale))
    np.testing.assert_array_equal(got, requantize(n, ratio.numerator, ratio.denominator, 0))


@pytest.mark.parametrize("spread", [1.0, 1.7, 4.1, 9.3, 30.0, 64.0])
@pytest.mark.parametrize("size", [(7, 7), (14, 14), (56, 56), (64, 64)])
def test_xnnpack_mean_next_to_ties(size: tuple[int, int], spread: float) -> None:
    """MEAN: src/operators/reduce-nd.c folds both zero points into one float32 constant."""
    count = size[0] * size[1]
    ratio = odd_fractions(np.array([spread / count]))
    s_in = 0.0311
    s_out = s_in / count / ratio.value[0]
    n = next_to_ties(ratio.fraction())
    for zero_in, zero_out in ((0, 0), (-128, -128), (100, -37)):
        raw = n + count * zero_in
        possible = n[(raw >= -128 * count) & (raw <= 127 * count)]
        scale = (F(s_in) / F(s_out)) * (F(1) / F(count))
        constant = F(zero_out) - F(count * zero_in) * scale
        value = (possible + count * zero_in).astype(F) * scale + constant
        expected = requantize(possible, ratio.numerator, ratio.denominator, zero_out)
        np.testing.assert_array_equal(saturated(half_even(value)), expected)
