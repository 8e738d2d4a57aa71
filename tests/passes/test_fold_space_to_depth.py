"""Space to depth into the convolution behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edgekit.ir import Concat, Conv2d, Padding, Part, Rearrange, Slice
from edgekit.passes.fold_space_to_depth import fold_space_to_depth
from edgekit.passes.remove_dead import remove_dead

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.ir import Graph


def _pixel(sketch: Any, x: str, row: int, column: int, step: int = 2) -> str:
    channels, height, width = sketch.shape(x)
    parts = (Part(0, channels), Part(row, height // step, step), Part(column, width // step, step))
    return str(sketch.apply(f"part.{row}.{column}", Slice(parts), x))


def _larger(after: Graph) -> Conv2d:
    op = after.nodes[0].op
    assert isinstance(op, Conv2d)
    assert after.nodes[0].inputs[0] == after.input
    return op


def test_every_second_pixel_of_every_second_row(sketch: Any, unchanged: Callable[[Graph, Graph], None]) -> None:
    pixels = [_pixel(sketch, "x", row, column) for column in range(2) for row in range(2)]
    joined = sketch.apply("joined", Concat(), *pixels)
    before = sketch.end(sketch.conv("conv", joined, 5, kernel=3, padding=Padding(1, 1, 1, 0)))
    after = remove_dead(fold_space_to_depth(before))
    assert _larger(after) == Conv2d((2, 2), Padding(2, 2, 2, 0))
    unchanged(before, after)


@pytest.mark.parametrize("order", [(0, 2, 4, 1, 3), (2, 4, 0, 1, 3), (4, 2, 0, 1, 3)])
def test_a_rearrangement(order: tuple[int, ...], sketch: Any, unchanged: Callable[[Graph, Graph], None]) -> None:
    channels, height, width = sketch.shape("x")
    parts = (channels, height // 2, 2, width // 2, 2)
    op = Rearrange(parts, order, (4 * channels, height // 2, width // 2))
    before = sketch.end(sketch.conv("conv", sketch.apply("depth", op, "x"), 5))
    after = remove_dead(fold_space_to_depth(before))
    assert _larger(after) == Conv2d((2, 2))
    unchanged(before, after)


def test_what_leaves_pixels_out_stays(sketch: Any) -> None:
    pixels = [_pixel(sketch, "x", 0, 0), _pixel(sketch, "x", 1, 1)]
    before = sketch.end(sketch.conv("conv", sketch.apply("joined", Concat(), *pixels), 5))
    assert fold_space_to_depth(before).nodes == before.nodes


def test_what_others_read_stays(sketch: Any) -> None:
    channels, height, width = sketch.shape("x")
    op = Rearrange((channels, height // 2, 2, width // 2, 2), (0, 2, 4, 1, 3), (4 * channels, height // 2, width // 2))
    depth = sketch.apply("depth", op, "x")
    before = sketch.end(sketch.add("sum", sketch.conv("conv", depth, 4 * channels), depth))
    assert fold_space_to_depth(before).nodes == before.nodes
