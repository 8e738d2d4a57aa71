"""Ranges against the raw values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.calibration.observers import StreamingHistogram
from edgekit.calibration.ranges import MIN_RANGE, Range, RangeMethod, find_range
from edgekit.errors import ConfigError
from edgekit.quantization import QuantParams, activation_params

METHODS = list(RangeMethod)


def hard_swish(x: np.ndarray) -> np.ndarray:
    return np.asarray(x * np.clip(x + 3, 0, 6) / 6)


def tensors() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    n = 50_000
    made = {
        "gauss": random.normal(size=n),
        "relu": np.maximum(random.laplace(size=n), 0),
        "relu6": np.clip(random.normal(size=n) * 4, 0, 6),
        "negative": -random.exponential(size=n),
        "long tail": random.standard_t(3, n),
        "hard-swish": hard_swish(random.normal(size=n) * 4),
        "lopsided": np.concatenate([random.normal(size=n) * 0.2, random.exponential(size=n) * 3]),
        "outliers": np.append(random.normal(size=n), [30, -80]),
    }
    return {name: values.astype(np.float32) for name, values in made.items()}


TENSORS = tensors()


def find(values: np.ndarray, method: RangeMethod, percentile: float = 99.99) -> Range:
    return find_range(seen(values), method, percentile=percentile)


def seen(values: np.ndarray) -> StreamingHistogram:
    histogram = StreamingHistogram()
    histogram.update(values.astype(np.float32))
    return histogram


def squared_error(values: np.ndarray, low: float, high: float) -> float:
    """What int8 really does to the values, in mean."""
    scale, zero_point = activation_params(low, high)
    params = QuantParams(np.array([scale], np.float32), zero_point)
    return float(np.mean((params.dequantize(params.quantize(values)).astype(np.float64) - values) ** 2))


# --- what all methods have in common


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", TENSORS)
def test_a_range_holds_zero_and_lies_within_the_values(name: str, method: RangeMethod) -> None:
    values = TENSORS[name]
    found = find(values, method)
    beyond = (found.high - found.low) / 510 if method is RangeMethod.MSE else 0.0  # half a step, to make zero a level
    assert min(values.min(), 0.0) - beyond <= found.low <= 0.0 <= found.high <= max(values.max(), 0.0) + beyond
    assert found.high - found.low >= MIN_RANGE


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=50, deadline=None)
@given(values=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_any_values_have_a_range(method: RangeMethod, values: list[float]) -> None:
    found = find(np.array(values), method)
    assert found.low <= 0.0 <= found.high
    assert np.isfinite([found.low, found.high]).all()
    assert found.high - found.low >= MIN_RANGE * (1 - 1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_a_mirrored_tensor_has_the_mirrored_range(method: RangeMethod) -> None:
    values = TENSORS["lopsided"]
    found, mirrored = find(values, method), find(-values, method)
    # The search for the least entropy moves the upper end first: mirrored, it may stop a little elsewhere.
    tolerance = 0.25 if method is RangeMethod.ENTROPY else 1e-9
    assert mirrored.low == pytest.approx(-found.high, rel=tolerance)
    assert mirrored.high == pytest.approx(-found.low, rel=tolerance)


@pytest.mark.parametrize("method", METHODS)
def test_the_bounds_of_a_clamp_are_kept(method: RangeMethod) -> None:
    assert find(TENSORS["relu6"], method) == Range(0.0, 6.0)


@pytest.mark.parametrize("method", METHODS)
def test_a_relu_starts_at_exactly_zero(method: RangeMethod) -> None:
    assert find(TENSORS["relu"], method).low == 0.0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [5.0, -5.0])
def test_a_constant_tensor_is_represented(value: float, method: RangeMethod) -> None:
    assert find(np.full(1000, value), method) == Range(min(value, 0.0), max(value, 0.0))


@pytest.mark.parametrize("method", METHODS)
def test_a_tensor_of_zeros_gets_the_narrowest_range(method: RangeMethod) -> None:
    assert find(np.zeros(10), method) == Range(0.0, MIN_RANGE)


@pytest.mark.parametrize("method", METHODS)
def test_a_nearly_dead_tensor_is_stretched_in_proportion(method: RangeMethod) -> None:
    values = TENSORS["gauss"]
    narrow, usual = find(values * 1e-9, method), find(values, method)
    assert narrow.high - narrow.low == pytest.approx(MIN_RANGE)
    assert narrow.low / narrow.high == pytest.approx(usual.low / usual.high, rel=0.05)


def test_a_histogram_without_values_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError):
        find_range(StreamingHistogram(), RangeMethod.MINMAX)


# --- minimum and maximum


def test_minmax_is_exact() -> None:
    values = TENSORS["long tail"]
    assert find(values, RangeMethod.MINMAX) == Range(float(values.min()), float(values.max()))


# --- percentile


@pytest.mark.parametrize("percentile", [90.0, 99.0, 99.9, 99.99])
@pytest.mark.parametrize("name", TENSORS)
def test_percentiles_are_numpys_up_to_a_bin(name: str, percentile: float) -> None:
    values = TENSORS[name]
    histogram = seen(values)
    found = find_range(histogram, RangeMethod.PERCENTILE, percentile=percentile)
    high = np.percentile(values, percentile, method="inverted_cdf")
    low = -np.percentile(-values, percentile, method="inverted_cdf")
    assert found.high == pytest.approx(max(high, 0.0), abs=histogram.grid.width)
    assert found.low == pytest.approx(min(low, 0.0), abs=histogram.grid.width)


def test_each_end_loses_its_own_share() -> None:
    values = np.arange(-100_000, 100_000) / 1000
    found = find(values, RangeMethod.PERCENTILE, 99.0)  # 1 % of 200,000 at either end, and within a bin interpolated
    assert found.low == pytest.approx(-98.0, abs=0.003)
    assert found.high == pytest.approx(98.0, abs=0.003)


def test_the_hundredth_percentile_is_the_maximum() -> None:
    values = TENSORS["long tail"]
    assert find(values, RangeMethod.PERCENTILE, 100.0) == find(values, RangeMethod.MINMAX)


def test_enough_exact_zeros_are_a_bound_of_exactly_zero() -> None:
    values = np.append(np.zeros(100_000), [-3.0, 7.0])
    found = find(values, RangeMethod.PERCENTILE, 99.99)
    assert found == Range(0.0, MIN_RANGE)  # not a part of the bin that zero shares with small values


@pytest.mark.parametrize("percentile", [0.0, 50.0, 100.1, -1.0, float("nan")])
def test_a_percentile_without_sense_is_refused(percentile: float) -> None:
    with pytest.raises(ConfigError, match="choose one above 50"):
        find(TENSORS["gauss"], RangeMethod.PERCENTILE, percentile)


# --- squared error


@pytest.mark.parametrize("name", TENSORS)
def test_no_range_of_a_brute_force_search_has_a_smaller_squared_error(name: str) -> None:
    values = TENSORS[name]
    found = find(values, RangeMethod.MSE)
    shares = np.geomspace(0.03, 1, 24)
    least = min(
        squared_error(values, low, high)
        for low in (values.min() * shares if values.min() < 0 else [0.0])
        for high in (values.max() * shares if values.max() > 0 else [0.0])
    )
    assert squared_error(values, found.low, found.high) <= 1.02 * least  # the noise is modelled, and a model errs


def test_the_short_end_of_a_hard_swish_is_kept_although_zero_is_a_level() -> None:
    values = TENSORS["hard-swish"]
    found = find(values, RangeMethod.MSE)
    scale, zero_point = activation_params(found.low, found.high)
    assert scale * (-128 - zero_point) == pytest.approx(found.low)  # rounding the zero point moves nothing
    assert found.low <= values.min()


def test_the_squared_error_of_gaussian_values_is_the_textbooks() -> None:
    # Banner et al., arXiv:1810.05723, table 1, gives 3.92 sigma for 8 bits.
    found = find(np.random.default_rng(1).normal(size=2_000_000), RangeMethod.MSE)
    assert found.high == pytest.approx(3.92, rel=0.02)
    assert found.low == pytest.approx(-3.92, rel=0.02)


def test_exact_zeros_do_not_ask_for_a_finer_scale() -> None:
    values = TENSORS["long tail"]
    assert find(np.append(values, np.zeros(10 * len(values))), RangeMethod.MSE) == find(values, RangeMethod.MSE)


# --- entropy


def divergence(values: np.ndarray, low: float, high: float) -> float:
    """Migacz's divergence from raw values: bins of the same histogram, 256 levels, loops instead of running sums."""
    histogram = seen(values)
    edges, width = histogram.edges, histogram.grid.width
    counts = histogram.counts.astype(np.float64)
    counts[histogram.grid.zero] -= histogram.zeros
    first, last = int(np.argmin(abs(edges - low))), int(np.argmin(abs(edges - high)))
    assert edges[first] == pytest.approx(low, abs=width)
    p = counts[first:last].copy()
    p[0] += counts[:first].sum()
    p[-1] += counts[last:].sum()
    q = np.zeros_like(p)
    step = (last - first) / 255
    level_of = np.array([np.sum(i >= np.rint((np.arange(1, 256) - 0.5) * step + first)) for i in range(first, last)])
    for level in range(256):
        bins = np.flatnonzero((level_of == level) & (p > 0))
        if len(bins):
            q[bins] = counts[first:last][level_of == level].sum() / len(bins) + 1
    used = p > 0
    return float((p[used] * np.log(p[used] / q[used]) - p[used] + q[used]).sum() / counts.sum())


@pytest.mark.parametrize("name", TENSORS)
def test_entropy_finds_a_smaller_divergence_than_a_coarse_search(name: str) -> None:
    values = TENSORS[name]
    found = find(values, RangeMethod.ENTROPY)
    least = divergence(values, found.low, found.high)
    for share in (0.25, 0.5, 0.75, 1.0):
        low, high = min(float(values.min()), 0.0) * share, max(float(values.max()), 0.0) * share
        if name not in {"outliers", "lopsided", "hard-swish"}:  # one short end: too few bins for this search
            assert least <= divergence(values, low, high) * 1.01 + 1e-9


def test_entropy_cuts_off_outliers() -> None:
    found = find(TENSORS["outliers"], RangeMethod.ENTROPY)
    assert -8 < found.low < -3
    assert 3 < found.high < 8
