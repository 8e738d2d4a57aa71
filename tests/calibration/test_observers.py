"""Histograms: exact, whatever the batches."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from edgekit.calibration.observers import BINS, FINEST_EXPONENT, Grid, StreamingHistogram

FLOAT32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
ARRAYS = st.lists(FLOAT32, min_size=1, max_size=60).map(lambda values: np.array(values, np.float32))


def histogram_of(*batches: np.ndarray) -> StreamingHistogram:
    histogram = StreamingHistogram()
    for batch in batches:
        histogram.update(batch)
    return histogram


def state(histogram: StreamingHistogram) -> tuple[object, ...]:
    bounds = (repr(histogram.minimum), repr(histogram.maximum))  # which tells 0.0 from -0.0
    return (*bounds, histogram.zeros, histogram.grid, histogram.counts.tolist())


def naive(values: np.ndarray) -> StreamingHistogram:
    """One value after the other, in exact arithmetic."""
    expected = StreamingHistogram()
    expected.minimum, expected.maximum = float(values.min()) + 0.0, float(values.max()) + 0.0
    expected.zeros = int((values == 0).sum())
    expected.grid = Grid.covering(expected.minimum, expected.maximum)
    expected.counts = np.zeros(expected.grid.size, np.int64)
    for value in values.tolist():
        away = math.floor(abs(value) / expected.grid.width)
        place = away if value >= 0 else -away - 1
        expected.counts[place - expected.grid.first] += 1
    return expected


@settings(max_examples=100, deadline=None)
@given(ARRAYS)
@example(np.array([-1e-45, 1e30], np.float32))  # the first, divided by the width, underflows to zero
@example(np.array([-1.0, 1.0], np.float32))  # both on an edge
@example(np.array([-0.0, 0.0], np.float32))
@example(np.array([np.finfo(np.float32).min, np.finfo(np.float32).max], np.float32))
@example(np.array([-3.0], np.float32))
def test_counts_are_those_of_exact_arithmetic(values: np.ndarray) -> None:
    assert state(histogram_of(values)) == state(naive(values))


@settings(max_examples=100, deadline=None)
@given(ARRAYS, st.data())
def test_neither_the_split_into_batches_nor_the_order_matters(values: np.ndarray, data: st.DataObject) -> None:
    shuffled = np.array(data.draw(st.permutations(values.tolist())), np.float32)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(values)), max_size=5)))
    assert state(histogram_of(*np.split(shuffled, cuts))) == state(histogram_of(values))


@settings(max_examples=100, deadline=None)
@given(st.lists(ARRAYS, min_size=1, max_size=4))
def test_merging_is_seeing_everything(parts: list[np.ndarray]) -> None:
    merged = StreamingHistogram()
    for part in parts:
        merged.merge(histogram_of(part))
    merged.merge(StreamingHistogram())
    assert state(merged) == state(histogram_of(np.concatenate(parts)))


@settings(max_examples=100, deadline=None)
@given(ARRAYS)
def test_a_mirrored_tensor_has_the_mirrored_histogram(values: np.ndarray) -> None:
    assume(values.min() < 0 < values.max())
    values = values[values != 0]  # zero itself is in the bin above it
    there, mirrored = histogram_of(values), histogram_of(-values)
    bins, mirrored_bins = np.flatnonzero(there.counts), np.flatnonzero(mirrored.counts)[::-1]
    assert (bins + there.grid.first).tolist() == (-1 - (mirrored_bins + mirrored.grid.first)).tolist()
    assert there.counts[bins].tolist() == mirrored.counts[mirrored_bins].tolist()


@settings(max_examples=100, deadline=None)
@given(FLOAT32, FLOAT32)
def test_the_grid_is_the_finest_that_fits(a: float, b: float) -> None:
    low, high = min(a, b), max(a, b)
    grid = Grid.covering(low, high)
    assert grid.size <= BINS
    assert grid.first * grid.width <= min(low, 0.0)
    assert (grid.first + grid.size) * grid.width > max(high, 0.0)
    if grid.exponent > FINEST_EXPONENT:
        assert grid.size >= BINS // 2
        finer = math.floor(max(high, 0.0) / grid.width * 2) + 1 + math.floor(max(-low, 0.0) / grid.width * 2)
        assert finer + (low < 0) > BINS


def test_large_tensors_are_counted_in_pieces() -> None:
    values = np.random.default_rng(0).normal(size=700_000).astype(np.float32)
    histogram = histogram_of(values)
    away = np.floor(np.abs(values.astype(np.float64)) / histogram.grid.width)
    places = np.where(values >= 0, away, -away - 1).astype(int) - histogram.grid.first
    assert histogram.counts.tolist() == np.bincount(places, minlength=histogram.grid.size).tolist()
    assert (histogram.total, histogram.zeros) == (700_000, 0)


def test_edges_end_where_the_values_end() -> None:
    edges = histogram_of(np.array([-0.3, 6.0], np.float32)).edges
    assert (edges[0], edges[-1]) == (np.float32(-0.3), 6.0)
    assert (np.diff(edges) >= 0).all()
    assert 0.0 in edges
    assert histogram_of(np.array([2.0, 3.0], np.float32)).edges[0] == 0.0


def test_zeros_are_counted_with_either_sign() -> None:
    histogram = histogram_of(np.array([0.0, -0.0, 1.0], np.float32))
    assert (histogram.zeros, histogram.total) == (2, 3)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_and_changes_nothing(bad: float) -> None:
    histogram = histogram_of(np.array([1.0, -2.0], np.float32))
    before = state(histogram)
    with pytest.raises(ValueError, match="NaN or infinite"):
        histogram.update(np.array([0.0, bad, 5.0], np.float32))
    assert state(histogram) == before


def test_any_shape_and_layout_is_taken_as_it_is() -> None:
    values = np.random.default_rng(0).normal(size=(2, 3, 5, 7)).astype(np.float32)
    channels_last = values.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
    assert state(histogram_of(channels_last)) == state(histogram_of(values)) == state(histogram_of(values.ravel()))
    assert state(histogram_of(values[:, ::2])) == state(histogram_of(values[:, ::2].copy()))
    assert state(histogram_of(values[:0])) == state(StreamingHistogram())


def test_other_types_are_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match="float64"):
        StreamingHistogram().update(np.zeros(3))  # type: ignore[arg-type]
