"""The gate of the first hard-swish with a convolution of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.ir import Clamp, HardSwish
from edgekit.passes import integer_form
from edgekit.passes.fuse_activation import fuse_activation
from edgekit.passes.gate_convolution import gate_convolution
from edgekit.passes.lower_hard_swish import lower_hard_swish

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.ir import Graph

    Unchanged = Callable[[Graph, Graph], None]


def _ready(graph: Graph) -> Graph:
    return fuse_activation(lower_hard_swish(graph))


def test_the_addition_becomes_a_convolution(
    sketch: Any, kinds: Callable[[Graph], list[str]], unchanged: Unchanged
) -> None:
    before = _ready(sketch.end(sketch.unary("act", HardSwish(), sketch.conv("conv", "x", kernel=3))))
    after = gate_convolution(before)
    assert kinds(before)[:3] == ["Conv2d", "Add", "Mul"]
    assert kinds(after)[:3] == ["Conv2d", "Conv2d", "Mul"]
    conv, gate, product = after.nodes[:3]
    assert (gate.op, gate.inputs[0], gate.activation) == (conv.op, "x", Clamp(0.0, 6.0))
    assert product.inputs == (conv.output, gate.output)
    unchanged(before, after)


def test_not_behind_another_convolution(sketch: Any) -> None:
    first = sketch.unary("relu", Clamp(0.0), sketch.conv("first", "x"))
    graph = _ready(sketch.end(sketch.unary("act", HardSwish(), sketch.conv("conv", first))))
    assert gate_convolution(graph).nodes == graph.nodes


def test_not_where_others_read_the_convolution(sketch: Any) -> None:
    conv = sketch.conv("conv", "x")
    act = sketch.unary("act", HardSwish(), conv)
    graph = _ready(sketch.end(sketch.conv("late", sketch.add("sum", act, sketch.conv("side", conv)))))
    assert gate_convolution(graph).nodes == graph.nodes


def test_it_is_part_of_the_integer_form(sketch: Any, kinds: Callable[[Graph], list[str]], unchanged: Unchanged) -> None:
    before = sketch.end(sketch.unary("act", HardSwish(), sketch.conv("conv", "x")))
    after = integer_form(before)
    assert kinds(after) == ["Conv2d", "Conv2d", "Mul", "Mean", "Linear"]
    unchanged(before, after)
