"""Padding, and TensorFlow's SAME."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.ir import Padding

SIZES = st.tuples(st.integers(1, 300), st.integers(1, 300))
KERNELS = st.tuples(st.integers(1, 7), st.integers(1, 7))
STRIDES = st.tuples(st.integers(1, 4), st.integers(1, 4))


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "before", "after"),
    [
        # The example in the documentation of tf.nn.convolution, "Notes on padding": width 13, filter 6, stride 5.
        (13, 6, 5, 1, 2),
        # Keras' imagenet_utils.correct_pad, which its MobileNets use: (0, 1) for 3 x 3 and (1, 2) for 5 x 5.
        (224, 3, 2, 0, 1),
        (14, 5, 2, 1, 2),
        (7, 3, 1, 1, 1),
        (7, 1, 2, 0, 0),
        (225, 3, 2, 1, 1),
        (1, 3, 2, 1, 1),
    ],
)
def test_same_as_documented(size: int, kernel: int, stride: int, before: int, after: int) -> None:
    padding = Padding.same((size, size), (kernel, kernel), (stride, stride))
    assert padding == Padding(before, after, before, after)


@given(size=SIZES, kernel=KERNELS, stride=STRIDES)
def test_same_covers_the_image_and_no_more(
    size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int]
) -> None:
    padding = Padding.same(size, kernel, stride)
    borders = [(padding.top, padding.bottom), (padding.left, padding.right)]
    for n, k, s, (before, after) in zip(size, kernel, stride, borders, strict=True):
        # TensorFlow's other formula, from the documentation of tf.nn.convolution.
        assert before + after == (max(k - s, 0) if n % s == 0 else max(k - n % s, 0))
        assert 0 <= after - before <= 1
        assert (n + before + after - k) // s + 1 == -(-n // s)


@given(st.lists(st.integers(0, 9), min_size=8, max_size=8))
def test_sides_add_up(sides: list[int]) -> None:
    one, other = Padding(*sides[:4]), Padding(*sides[4:])
    total = one + other
    assert (total.top, total.left) == (sides[0] + sides[4], sides[2] + sides[6])
    assert (total.bottom, total.right) == (sides[1] + sides[5], sides[3] + sides[7])
    assert bool(total) == any(sides)
