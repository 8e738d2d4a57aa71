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
    assert parity.top1_agreement == 0.0


def test_a_comparison_of_nothing_fails() -> None:
    nothing = np.zeros((0, 10), np.int8)
    parity = compare_integers("x", nothing, nothing)
    assert not parity.passed
    assert (parity.identical, parity.max_lsb, parity.top1_agreement) == (0.0, 0, 0.0)


def test_other_shapes_are_our_mistake() -> None:
    with pytest.raises(AssertionError, match=r"\(1, 2\) against \(1, 3\)"):
        compare_integers("x", np.zeros((1, 2), np.int8), np.zeros((1, 3), np.int8))
