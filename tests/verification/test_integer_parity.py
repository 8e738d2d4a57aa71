"""Integers against integers: what is counted, and what passes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edgekit.verification.integer_parity import compare_integers

LOGITS = arrays.array_shapes(min_dims=2, max_dims=2, max_side=6).flatmap(
    lambda shape: st.tuples(arrays.arrays(np.int8, shape), arrays.arrays(np.int8, shape))
)


@given(LOGITS)
def test_every_logit_is_counted_once(pair: tuple[np.ndarray, np.ndarray]) -> None:
    found, expected = pair
    parity = compare_integers("a runtime", found, expected)
    assert parity.values == sum(parity.differences.values()) == found.size
    assert parity.images == len(found)
    assert parity.max_lsb == max(abs(int(a) - int(b)) for a, b in zip(found.flat, expected.flat, strict=True))
    assert parity.identical == pytest.approx((found == expected).mean())
    assert parity.images_identical == sum(map(np.array_equal, found, expected))
    assert parity.passed == np.array_equal(found, expected)


def test_the_ends_of_int8_are_255_apart() -> None:
    parity = compare_integers("x", np.array([[-128, 0]], np.int8), np.array([[127, 0]], np.int8))
    assert parity.max_lsb == 255
    assert parity.differences == {0: 1, 255: 1}


def test_a_comparison_of_nothing_fails() -> None:
    nothing = np.zeros((0, 10), np.int8)
    parity = compare_integers("x", nothing, nothing)
    assert not parity.passed
    assert (parity.identical, parity.max_lsb) == (0.0, 0)


@given(LOGITS)
def test_differences_are_relative_to_the_spread(pair: tuple[np.ndarray, np.ndarray]) -> None:
    found, expected = (array.astype(float) for array in pair)
    parity = compare_integers("x", *pair)
    wanted = np.sqrt(((found - expected) ** 2).mean()) / max(expected.std(), 1.0)
    assert parity.relative_rms == pytest.approx(wanted)


@pytest.mark.parametrize(("off_by", "near"), [(0, True), (2, True), (20, False)])
def test_behind_float_layers_near_is_enough(off_by: int, near: bool) -> None:  # noqa: FBT001 - a column
    expected = np.random.default_rng(0).normal(0, 20, (8, 100)).astype(np.int8)
    found = expected + np.int8(off_by)
    assert compare_integers("x", found, expected, near="it rounds reals").passed is near
    assert compare_integers("x", found, expected).passed is (off_by == 0)


def test_another_network_is_never_near() -> None:
    random = np.random.default_rng(0)
    found, expected = (random.normal(0, 20, (8, 100)).astype(np.int8) for _ in range(2))
    assert compare_integers("x", found, expected, near="it rounds reals").relative_rms > 1


def test_other_shapes_are_our_mistake() -> None:
    with pytest.raises(AssertionError, match=r"\(1, 2\) against \(1, 3\)"):
        compare_integers("x", np.zeros((1, 2), np.int8), np.zeros((1, 3), np.int8))
