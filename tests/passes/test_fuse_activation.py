"""Clamps into the layer before them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from edgekit.ir import Clamp, Concat, Output, Padding
from edgekit.passes.fuse_activation import fuse_activation

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.ir import Graph


def test_every_kind_of_layer_takes_one(
    sketch: Any, kinds: Callable[[Graph], list[str]], unchanged: Callable[[Graph, Graph], None]
) -> None:
    relu, relu6 = Clamp(0.0), Clamp(0.0, 6.0)
    x = sketch.apply("conv.act", relu6, sketch.conv("conv", "x"))
    x = sketch.apply("sum.act", relu, sketch.add("sum", x, sketch.conv("other", "x")))
    x = sketch.apply("product.act", relu6, sketch.mul("product", x, sketch.mean("pool", x)))
    x = sketch.apply("dense.act", Clamp(-1.0, 1.0), sketch.dense("dense", sketch.mean("mean", x)))
    before = sketch.ending_in(sketch.dense("classifier", x))
    after = fuse_activation(before)
    assert "Clamp" not in kinds(after)
    clamps = {node.output: node.activation for node in after if node.activation is not None}
    assert clamps == {"conv.act": relu6, "sum.act": relu, "product.act": relu6, "dense.act": Clamp(-1.0, 1.0)}
    unchanged(before, after)


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        (Clamp(0.0), Clamp(-math.inf, 6.0), Clamp(0.0, 6.0)),
        (Clamp(0.0, 6.0), Clamp(-3.0), Clamp(0.0, 6.0)),
        (Clamp(-3.0), Clamp(0.0, 1.0), Clamp(0.0, 1.0)),
        (Clamp(-1.0, 0.0), Clamp(2.0, 3.0), Clamp(2.0, 2.0)),  # they do not meet
    ],
)
def test_a_second_clamp_narrows_the_first(
    first: Clamp, second: Clamp, both: Clamp, sketch: Any, unchanged: Callable[[Graph, Graph], None]
) -> None:
    before = sketch.end(sketch.apply("second", second, sketch.apply("first", first, sketch.conv("conv", "x"))))
    after = fuse_activation(before)
    assert after.nodes[0].activation == both
    unchanged(before, after)


def test_not_where_others_see_the_layer_unclamped(sketch: Any, kinds: Callable[[Graph], list[str]]) -> None:
    conv = sketch.conv("conv", "x")
    graph = sketch.end(sketch.add("sum", conv, sketch.apply("relu", Clamp(0.0), conv)))
    assert kinds(fuse_activation(graph)) == kinds(graph)
    one_reader = sketch.end(sketch.apply("relu", Clamp(0.0), sketch.conv("conv", "x")))
    seen = replace(one_reader, outputs=(*one_reader.outputs, Output("seen", one_reader.nodes[-5].output)))
    assert kinds(fuse_activation(seen)) == kinds(seen)


def test_not_into_a_mean(sketch: Any, kinds: Callable[[Graph], list[str]]) -> None:
    graph = sketch.ending_in(sketch.dense("classifier", sketch.apply("relu", Clamp(0.0), sketch.mean("m", "x"))))
    assert kinds(fuse_activation(graph)) == kinds(graph)


def test_through_what_moves_values(
    sketch: Any, kinds: Callable[[Graph], list[str]], unchanged: Callable[[Graph, Graph], None]
) -> None:
    """Into all that is moved, where each takes it; the zeros of padding have to be let through."""
    a, b = sketch.conv("a", "x"), sketch.pad("pad", sketch.conv("b", "x", kernel=3), Padding(1, 1, 1, 1))
    before = sketch.end(sketch.apply("relu", Clamp(0.0), sketch.apply("joined", Concat(), a, b)))
    after = fuse_activation(before)
    assert kinds(after) == ["Conv2d", "Conv2d", "Pad", "Concat", "Mean", "Rearrange", "Linear"]
    assert [node.activation for node in after][:4] == [Clamp(0.0), Clamp(0.0), None, None]
    unchanged(before, after)


@pytest.mark.parametrize("clamp", [Clamp(0.5, 1.0), Clamp(0.0)])
def test_not_through_what_others_read_or_cannot_clamp(
    clamp: Clamp, sketch: Any, kinds: Callable[[Graph], list[str]]
) -> None:
    padded = sketch.pad("pad", sketch.conv("a", "x"), Padding(1, 1, 1, 1))
    parts = (padded,) if clamp.low else (sketch.apply("joined", Concat(), sketch.conv("b", "x"), "x"),)
    graph = sketch.end(sketch.apply("clamp", clamp, *parts))
    assert kinds(fuse_activation(graph)) == kinds(graph)
