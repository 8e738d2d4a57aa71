"""Rearrangements and parts behind one another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edgekit.ir import Part, Rearrange, Slice
from edgekit.passes.merge_moves import merge_moves

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.ir import Graph


@pytest.fixture
def x(sketch: Any) -> str:
    return str(sketch.conv("conv", "x", 4))


def shuffled(sketch: Any, x: str) -> str:
    channels, *size = sketch.shape(x)
    parts = sketch.apply("split", Rearrange.reshape((2, channels // 2, *size)), x)
    turned = sketch.apply("turned", Rearrange.transpose((2, channels // 2, *size), (1, 0, 2, 3)), parts)
    return str(sketch.apply("shuffled", Rearrange.reshape((channels, *size)), turned))


def test_a_shuffle_is_one(sketch: Any, x: str, unchanged: Callable[[Graph, Graph], None]) -> None:
    before = sketch.end(shuffled(sketch, x))
    after = merge_moves(before)
    (node,) = (node for node in after if node.name == "shuffled")
    channels, height, width = sketch.shape(x)
    assert node.op == Rearrange((2, channels // 2, height * width), (1, 0, 2), (channels, height, width))
    assert node.inputs == (x,)
    assert len(after.nodes) == len(before.nodes) - 2
    unchanged(before, after)


def turned(sketch: Any, name: str, x: str) -> str:
    return str(sketch.apply(name, Rearrange.transpose(sketch.shape(x), (0, 2, 1)), x))


def test_what_others_read_stays(sketch: Any, x: str, unchanged: Callable[[Graph, Graph], None]) -> None:
    once = turned(sketch, "once", x)
    before = sketch.end(sketch.add("sum", turned(sketch, "twice", once), turned(sketch, "again", once)))
    after = merge_moves(before)
    assert after.nodes == before.nodes
    unchanged(before, after)


def test_what_is_undone_goes(sketch: Any, x: str, unchanged: Callable[[Graph, Graph], None]) -> None:
    back = turned(sketch, "back", turned(sketch, "turned", x))
    before = sketch.end(back)
    after = merge_moves(before)
    assert {node.name for node in before} - {node.name for node in after} == {"turned", "back"}
    unchanged(before, after)


def test_parts_of_parts(sketch: Any, x: str, unchanged: Callable[[Graph, Graph], None]) -> None:
    channels, height, width = sketch.shape(x)
    rows = sketch.apply("rows", Slice.along((channels, height, width), 1, Part.of(slice(1, None, 2), height)), x)
    few = sketch.apply("few", Slice.along(sketch.shape(rows), 1, Part.of(slice(1, None), height // 2)), rows)
    before = sketch.end(few)
    after = merge_moves(before)
    (node,) = (node for node in after if node.name == "few")
    assert node.op == Slice((Part(0, channels), Part.of(slice(3, None, 2), height), Part(0, width)))
    unchanged(before, after)
