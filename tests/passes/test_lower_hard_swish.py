"""Hard-swish as ADD and MUL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.ir import Clamp, HardSwish
from edgekit.passes.lower_hard_swish import lower_hard_swish

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.ir import Graph


def test_the_input_is_bounded_where_it_may_be(
    sketch: Any, kinds: Callable[[Graph], list[str]], unchanged: Callable[[Graph, Graph], None]
) -> None:
    before = sketch.end(sketch.apply("act", HardSwish(), sketch.conv("conv", "x")))
    after = lower_hard_swish(before)
    assert kinds(after)[:6] == ["Conv2d", "Clamp", "Add", "Clamp", "Mul", "Mul"]
    assert [after.nodes[i].op for i in (1, 3)] == [Clamp(-3.0), Clamp(0.0, 6.0)]
    assert after.nodes[5].output == "act"
    unchanged(before, after)


def test_not_where_others_read_it(
    sketch: Any, kinds: Callable[[Graph], list[str]], unchanged: Callable[[Graph, Graph], None]
) -> None:
    conv = sketch.conv("conv", "x")
    before = sketch.end(sketch.mul("product", conv, sketch.apply("act", HardSwish(), conv)))
    after = lower_hard_swish(before)
    assert kinds(after)[:5] == ["Conv2d", "Add", "Clamp", "Mul", "Mul"]
    unchanged(before, after)


def test_nor_where_nothing_takes_the_clamp(
    sketch: Any, kinds: Callable[[Graph], list[str]], unchanged: Callable[[Graph, Graph], None]
) -> None:
    before = sketch.ending_in(sketch.dense("classifier", sketch.apply("act", HardSwish(), sketch.mean("m", "x"))))
    after = lower_hard_swish(before)
    assert kinds(after)[:5] == ["Mean", "Add", "Clamp", "Mul", "Mul"]
    unchanged(before, after)


def test_an_image_takes_none_either(sketch: Any, kinds: Callable[[Graph], list[str]]) -> None:
    after = lower_hard_swish(sketch.end(sketch.apply("act", HardSwish(), "x")))
    assert kinds(after)[:4] == ["Add", "Clamp", "Mul", "Mul"]
