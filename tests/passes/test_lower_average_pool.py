"""Averages of windows as convolutions, and what those take in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.ir import AveragePool2d, Clamp, Conv2d, Lowered, Padding
from edgekit.passes import float_form, integer_form
from edgekit.passes.lower_average_pool import lower_average_pool

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.ir import Graph

SAME = Padding(1, 1, 1, 1)


def test_it_is_a_depthwise_convolution(sketch: Any, unchanged: Callable[[Graph, Graph], None]) -> None:
    before = sketch.end(sketch.apply("pool", AveragePool2d((3, 2), (2, 1), Padding(1, 0, 0, 1)), "x"))
    after = lower_average_pool(before)
    assert after.nodes[0].op == Conv2d((2, 1), Padding(1, 0, 0, 1), 4)
    assert after.nodes[0].lowered == Lowered("pool", "AveragePool2d")
    assert set(after.constants["pool.weight"].ravel().tolist()) == {after.constants["pool.weight"][0, 0, 0, 0]}
    unchanged(before, after)


def test_it_takes_in_what_stands_around_it(
    sketch: Any, kinds: Callable[[Graph], list[str]], unchanged: Callable[[Graph, Graph], None]
) -> None:
    padded = sketch.pad("pad", sketch.apply("relu", Clamp(0.0), sketch.conv("conv", "x")), SAME)
    x = sketch.norm("norm", sketch.apply("pool", AveragePool2d((3, 3), (1, 1)), padded))
    before = sketch.end(sketch.apply("clamp", Clamp(0.0, 2.0), sketch.plus("plus", x, 1.0)))
    integers, real = integer_form(before), float_form(before)
    assert kinds(integers) == ["Conv2d", "Conv2d", "Mean", "Linear"]
    assert kinds(real) == ["Conv2d", "Pad", "AveragePool2d", "Conv2d", "Mean", "Linear"]
    unchanged(before, integers)
    unchanged(before, real)
