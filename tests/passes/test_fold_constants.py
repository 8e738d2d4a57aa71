"""Constants into the layer before them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.ir import Clamp
from edgekit.passes.fold_constants import fold_constants

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.ir import Graph


def test_any_number_of_them(
    sketch: Any, kinds: Callable[[Graph], list[str]], unchanged: Callable[[Graph, Graph], None]
) -> None:
    x = sketch.plus("b", sketch.times("a", sketch.conv("conv", "x"), -2.5), 3.0)
    x = sketch.times("d", sketch.plus("c", sketch.dense("dense", sketch.mean("mean", x)), -1.0), 0.5)
    before = sketch.ending_in(x)
    after = fold_constants(before)
    assert kinds(after) == ["Conv2d", "Mean", "Rearrange", "Linear"]
    assert [after.nodes[0].output, after.nodes[-1].output] == ["b", "d"]
    unchanged(before, after)


def test_not_behind_a_clamp(
    sketch: Any, kinds: Callable[[Graph], list[str]], unchanged: Callable[[Graph, Graph], None]
) -> None:
    before = sketch.end(sketch.plus("plus", sketch.apply("relu", Clamp(0.0), sketch.conv("conv", "x")), 1.0))
    after = fold_constants(before)
    assert kinds(after) == kinds(before)
    unchanged(before, after)


def test_not_where_others_read_the_layer(
    sketch: Any, kinds: Callable[[Graph], list[str]], unchanged: Callable[[Graph, Graph], None]
) -> None:
    conv = sketch.conv("conv", "x")
    before = sketch.end(sketch.mul("product", conv, sketch.plus("plus", conv, 3.0)))
    after = fold_constants(before)
    assert kinds(after) == kinds(before)
    unchanged(before, after)
