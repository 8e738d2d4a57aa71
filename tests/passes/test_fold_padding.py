"""Pad into the convolution behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.ir import Conv2d, Padding
from edgekit.passes.fold_padding import fold_padding
from edgekit.passes.remove_dead import remove_dead

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.ir import Graph


def test_borders_add_up(
    sketch: Any, kinds: Callable[[Graph], list[str]], unchanged: Callable[[Graph, Graph], None]
) -> None:
    inner = sketch.pad("inner", sketch.pad("outer", "x", Padding(0, 1, 0, 1)), Padding(1, 0, 2, 0))
    before = sketch.end(sketch.conv("conv", inner, kernel=3, padding=Padding(1, 1, 1, 1)))
    after = remove_dead(fold_padding(before))
    assert kinds(after) == ["Conv2d", "Mean", "Rearrange", "Linear"]
    assert after.nodes[0].op == Conv2d((1, 1), Padding(2, 2, 3, 2))
    unchanged(before, after)


def test_other_readers_still_see_the_border(
    sketch: Any, kinds: Callable[[Graph], list[str]], unchanged: Callable[[Graph, Graph], None]
) -> None:
    padded = sketch.pad("pad", "x", Padding(1, 1, 1, 1))
    before = sketch.end(sketch.add("sum", padded, sketch.conv("conv", padded, kernel=1)))
    after = remove_dead(fold_padding(before))
    assert kinds(after)[:3] == ["Pad", "Conv2d", "Add"]
    unchanged(before, after)


def test_a_mean_over_the_border_keeps_it(
    sketch: Any, kinds: Callable[[Graph], list[str]], unchanged: Callable[[Graph, Graph], None]
) -> None:
    before = sketch.end(sketch.pad("pad", "x", Padding(0, 2, 0, 2)))
    after = remove_dead(fold_padding(before))
    assert kinds(after) == kinds(before)
    unchanged(before, after)
