"""Leaky ReLU as sums and products, whatever its slopes are."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.ir import Clamp, Concat, LeakyReLU, Lowered
from edgekit.passes import float_form, integer_form
from edgekit.passes.lower_leaky_relu import lower_leaky_relu

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.ir import Graph

    Unchanged = Callable[[Graph, Graph], None]
    Kinds = Callable[[Graph], list[str]]


@pytest.mark.parametrize(
    ("slopes", "clamps"),
    [
        ([0.1], [None, Clamp(0.0), None]),
        ([-0.5], [Clamp(0.0), None]),
        ([1.5], [Clamp(-math.inf, 0.0), None]),
        ([0.0, 0.25, -1.0, 1.0], [Clamp(0.0), None]),
        ([1.0, 2.0, 1.5, 3.0], [Clamp(-math.inf, 0.0), None]),
        ([0.0, 2.0, -1.0, 0.5], [Clamp(-math.inf, 0.0), None, None]),
    ],
    ids=str,
)
@pytest.mark.parametrize("of", ["maps", "vectors"])
def test_every_slope(
    slopes: list[float], clamps: list[Clamp | None], of: str, sketch: Any, unchanged: Unchanged
) -> None:
    x = sketch.dense("dense", sketch.mean("mean", "x"), 4) if of == "vectors" else sketch.conv("conv", "x")
    before = sketch.prelu("act", x, np.array(slopes))
    before = sketch.ending_in(sketch.dense("classifier", before)) if of == "vectors" else sketch.end(before)
    after = lower_leaky_relu(before)
    parts = [node for node in after if node.lowered is not None]
    assert [node.activation for node in parts] == clamps
    assert {node.lowered for node in parts} == {Lowered("act", "LeakyReLU" if len(slopes) == 1 else "PReLU")}
    unchanged(before, after)


def test_the_layer_before_takes_the_slope(sketch: Any, kinds: Kinds, unchanged: Unchanged) -> None:
    before = sketch.end(sketch.apply("act", LeakyReLU(0.1), sketch.conv("conv", "x")))
    after = integer_form(before)
    assert kinds(after) == ["Conv2d", "Mul", "Add", "Mean", "Linear"]
    assert after.tensors["act"].factor == 1.0
    unchanged(before, after)
    assert kinds(float_form(before)) == ["Conv2d", "LeakyReLU", "Mean", "Linear"]


def test_or_those_behind(sketch: Any, kinds: Kinds, unchanged: Unchanged) -> None:
    joined = sketch.apply("joined", Concat(), "x", sketch.conv("conv", "x"))
    before = sketch.end(sketch.conv("behind", sketch.apply("act", LeakyReLU(0.25), joined)))
    after = integer_form(before)
    assert kinds(after) == ["Conv2d", "Concat", "Mul", "Add", "Conv2d", "Mean", "Linear"]
    assert after.tensors["act"].factor == 4.0
    unchanged(before, after)


def test_slopes_of_any_shape(sketch: Any, unchanged: Unchanged) -> None:
    """As Keras has them where no axes are shared."""
    before = sketch.end(sketch.prelu("act", sketch.conv("conv", "x"), sketch.values(4, 6, 6)))
    for form in (float_form, integer_form):
        unchanged(before, form(before))
