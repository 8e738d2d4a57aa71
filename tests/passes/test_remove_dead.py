"""Nodes that nothing reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.ir import Clamp
from edgekit.passes.remove_dead import remove_dead

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.ir import Graph


def test_chains_that_end_nowhere_go(
    sketch: Any, kinds: Callable[[Graph], list[str]], unchanged: Callable[[Graph, Graph], None]
) -> None:
    conv = sketch.conv("conv", "x")
    sketch.apply("unread.relu", Clamp(0.0), sketch.conv("unread", conv))
    before = sketch.end(conv)
    after = remove_dead(before)
    assert kinds(after) == ["Conv2d", "Mean", "Rearrange", "Linear"]
    assert not any("unread" in name for name in (*after.tensors, *after.constants))
    unchanged(before, after)


def test_what_an_output_needs_stays(sketch: Any) -> None:
    graph = sketch.end(sketch.add("sum", sketch.conv("a", "x"), sketch.conv("b", "x")))
    assert remove_dead(graph).nodes == graph.nodes
