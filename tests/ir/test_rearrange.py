"""Rearrangements: merged, written in steps, and what they declare, against numpy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from edgekit.ir import Rearrange

Array = NDArray[np.int64]

SHUFFLE = Rearrange((2, 12, 6, 4), (1, 0, 2, 3), (24, 6, 4))
ROWS = Rearrange((24, 6, 4), (1, 2, 0), (48, 12))
PIXELS = Rearrange((6, 2, 2, 6, 4), (0, 3, 1, 4, 2), (6, 12, 8))
TURNED = Rearrange.transpose((24, 6, 4), (2, 1, 0))
EVERY = {
    "shuffle": SHUFFLE,
    "rows": ROWS,
    "pixels": PIXELS,
    "turned": TURNED,
    "flat": Rearrange.reshape((576,)),
    "columns": Rearrange((24, 24), (1, 0), (2, 288)),
    "parts": Rearrange((3, 8, 24), (1, 2, 0), (576,)),
    "other parts": Rearrange((64, 9), (1, 0), (9, 64)),
}


def computed(op: Rearrange, x: Array) -> Array:
    order = (0, *(1 + axis for axis in op.order))
    return x.reshape(len(x), *op.split).transpose(order).reshape(len(x), *op.shape)


X = np.arange(2 * 576).reshape(2, 24, 6, 4)


def test_axes_that_stay_together_are_one() -> None:
    assert Rearrange((2, 3, 1, 5, 4), (3, 4, 2, 0, 1), (20, 6)) == Rearrange((6, 20), (1, 0), (20, 6))
    assert Rearrange((1, 4, 1), (2, 1, 0), (4,)) == Rearrange.reshape((4,))
    assert Rearrange.transpose((1, 1), (1, 0)) == Rearrange.reshape((1, 1))


@pytest.mark.parametrize(("first", "second"), [*itertools.product(EVERY, EVERY)])
def test_two_in_one(first: str, second: str) -> None:
    one, two = EVERY[first], EVERY[second]
    both = one.then(two)
    assert both is not None or "flat" not in {first, second}  # it has one axis, which any others are parts of
    if both is not None:
        np.testing.assert_array_equal(computed(both, X), computed(two, computed(one, X)))


def test_axes_that_are_no_parts_of_others() -> None:
    assert TURNED.then(PIXELS) is None  # 4 * 6 * 24 as 6 * 2 * 2 * 24


def test_what_is_undone_moves_nothing() -> None:
    back = Rearrange((12, 2, 6, 4), (1, 0, 2, 3), (24, 6, 4))
    both = SHUFFLE.then(back)
    assert both is not None
    assert both.moves_nothing((24, 6, 4))
    assert not both.moves_nothing((576,))


@pytest.mark.parametrize("op", EVERY.values(), ids=EVERY)
@pytest.mark.parametrize("most", [None, 5])
@pytest.mark.parametrize("alone", [False, True])
def test_steps_do_the_same(op: Rearrange, most: int | None, *, alone: bool) -> None:
    x = X[:1] if alone else X
    y = x
    for step in op.steps(X.shape[1:], most, alone=alone):
        y = y.transpose(step.permutation) if step.order else y.reshape(step.of(-1))
        assert y.shape == step.of(len(x))
        assert most is None or not step.order or len(step.permutation) <= most
    np.testing.assert_array_equal(y, computed(op, x))


def test_no_more_steps_than_are_needed() -> None:
    assert [bool(step.order) for step in TURNED.steps((24, 6, 4))] == [True]
    assert [bool(step.order) for step in ROWS.steps((24, 6, 4))] == [True, False]
    assert [bool(step.order) for step in Rearrange((24, 24), (1, 0), (24, 24)).steps((576,))] == [False, True]
    assert [bool(step.order) for step in SHUFFLE.steps((24, 6, 4))] == [False, True, False]
    assert [bool(step.order) for step in Rearrange.reshape((24, 6, 4)).steps((24, 6, 4))] == [False]


@pytest.mark.parametrize(
    "op",
    [
        Rearrange.reshape((24, 24)),
        Rearrange.transpose((24, 6, 4), (0, 2, 1)),
        SHUFFLE,
        ROWS,
        Rearrange.reshape((12, 12, 4)),
        Rearrange.reshape((576,)),
    ],
)
def test_gains_go_with_the_channels(op: Rearrange) -> None:
    """A channel of the result has those of every channel that leaves a trace in it."""
    (pairs,) = op.channels((24, 6, 4))
    found = np.zeros((24, op.shape[0]), bool)
    found[pairs[:, 0], pairs[:, 1]] = True
    for channel in range(24):
        alone = np.zeros((24, 6, 4), bool)
        alone[channel] = True
        for step in op.steps(alone.shape):
            alone = alone.transpose(step.order) if step.order else alone.reshape(step.shape)
        np.testing.assert_array_equal(found[channel], alone.reshape(len(alone), -1).any(1))


def test_a_shape_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"rearranges a tensor of the shape \(24, 6, 5\) as \(576,\), and gives"):
        Rearrange.reshape((576,)).output_shape((24, 6, 5))
    assert math.prod(ROWS.output_shape((24, 6, 4))) == 576
