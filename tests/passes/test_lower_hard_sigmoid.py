"""Hard-sigmoid in parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.ir import Clamp, HardSigmoid
from edgekit.passes.lower_hard_sigmoid import lower_hard_sigmoid

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.ir import Graph


def test_add_clamp_mul(
    sketch: Any, kinds: Callable[[Graph], list[str]], unchanged: Callable[[Graph, Graph], None]
) -> None:
    before = sketch.end(sketch.apply("gate", HardSigmoid(), sketch.conv("conv", "x")))
    after = lower_hard_sigmoid(before)
    assert kinds(after)[:4] == ["Conv2d", "Add", "Clamp", "Mul"]
    assert after.nodes[2].op == Clamp(0.0, 6.0)
    assert after.nodes[3].output == "gate"
    unchanged(before, after)


def test_nothing_else_changes(sketch: Any) -> None:
    graph = sketch.end(sketch.conv("conv", "x"))
    assert lower_hard_sigmoid(graph).nodes == graph.nodes
