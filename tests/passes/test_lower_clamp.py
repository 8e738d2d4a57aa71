"""Clamps that no layer takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edgekit.ir import Clamp, Lowered
from edgekit.passes import float_form, integer_form
from edgekit.passes.centre_clamp import centre_clamp
from edgekit.passes.lower_clamp import lower_clamp

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.ir import Graph


def test_a_product_with_one_takes_it(
    sketch: Any, kinds: Callable[[Graph], list[str]], unchanged: Callable[[Graph, Graph], None]
) -> None:
    before = sketch.end(sketch.apply("relu", Clamp(0.0), sketch.mean("mean", "x")))
    after = lower_clamp(before)
    assert kinds(after) == ["Mean", "Mul", "Mean", "Rearrange", "Linear"]
    assert (after.nodes[1].activation, after.nodes[1].lowered) == (Clamp(0.0), Lowered("relu", "Clamp"))
    unchanged(before, after)


@pytest.mark.parametrize("clamp", [Clamp(0.5, 2.0), Clamp(0.25), Clamp(-2.0, -1.0), Clamp(1.0, 1.0)])
def test_a_range_holds_zero(clamp: Clamp, sketch: Any, unchanged: Callable[[Graph, Graph], None]) -> None:
    before = sketch.end(sketch.apply("clamp", clamp, sketch.conv("conv", "x")))
    after = centre_clamp(before)
    assert all(node.op.low <= 0 <= node.op.high for node in after if isinstance(node.op, Clamp))
    unchanged(before, after)


@pytest.mark.parametrize("clamp", [Clamp(0.0), Clamp(-1.0, 0.0), Clamp(-1.0, 2.0)])
def test_those_that_let_zero_through_stay(clamp: Clamp, sketch: Any) -> None:
    graph = sketch.end(sketch.apply("clamp", clamp, sketch.conv("conv", "x")))
    assert centre_clamp(graph).nodes == graph.nodes


def test_no_form_holds_any(sketch: Any, unchanged: Callable[[Graph, Graph], None]) -> None:
    x = sketch.apply("second", Clamp(-1.0, 0.5), sketch.apply("first", Clamp(0.2), sketch.mean("mean", "x")))
    before = sketch.end(x)
    for form in (float_form, integer_form):
        after = form(before)
        assert not any(isinstance(node.op, Clamp) for node in after)
        unchanged(before, after)
