"""A reshape to a vector into the mean before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.ir import HardSwish, Mean
from edgekit.passes.fold_flatten import fold_flatten

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.ir import Graph


def test_the_mean_drops_its_axes(
    sketch: Any, kinds: Callable[[Graph], list[str]], unchanged: Callable[[Graph, Graph], None]
) -> None:
    before = sketch.end("x")
    after = fold_flatten(before)
    assert kinds(after) == ["Mean", "Linear"]
    assert after.nodes[0].op == Mean(keep_dims=False)
    unchanged(before, after)


def test_not_where_others_need_the_axes(
    sketch: Any, kinds: Callable[[Graph], list[str]], unchanged: Callable[[Graph, Graph], None]
) -> None:
    mean = sketch.mean("mean", "x")
    sketch.dense("first", mean)
    before = sketch.ending_in(sketch.conv("conv", mean))
    after = fold_flatten(before)
    assert kinds(after) == kinds(before)
    unchanged(before, after)


def test_not_past_another_layer(sketch: Any, kinds: Callable[[Graph], list[str]]) -> None:
    x = sketch.apply("act", HardSwish(), sketch.mean("mean", "x"))
    graph = sketch.ending_in(sketch.dense("classifier", x))
    assert kinds(fold_flatten(graph)) == ["Mean", "HardSwish", "Rearrange", "Linear"]
