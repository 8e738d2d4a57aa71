"""Transposed convolutions as convolutions whose channels become space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edgekit.ir import Clamp, Padding, TransposedConv2d
from edgekit.passes import float_form, integer_form
from edgekit.passes.lower_transposed_convolution import lower_transposed_convolution

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.ir import Graph

    Unchanged = Callable[[Graph, Graph], None]
    Kinds = Callable[[Graph], list[str]]


def _transposed(sketch: Any, name: str, x: str, op: TransposedConv2d, kernel: tuple[int, int], out: int = 4) -> str:
    channels, *_ = sketch.shape(x)
    weight = sketch.values(channels, out // op.groups, *kernel)
    made: str = sketch.transposed_conv2d(name, x, weight, sketch.values(out), op)
    return made


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize(
    ("stride", "kernel", "padding", "more"),
    [
        ((2, 2), (2, 2), Padding(), (0, 0)),
        ((2, 2), (3, 3), Padding(1, 1, 1, 1), (1, 1)),
        ((2, 2), (3, 3), Padding(1, 1, 1, 1), (0, 0)),
        ((2, 2), (4, 4), Padding(1, 1, 1, 1), (0, 0)),
        ((2, 1), (3, 2), Padding(), (1, 0)),
        ((3, 2), (1, 5), Padding(0, 0, 3, 0), (2, 1)),
        ((1, 1), (3, 3), Padding(1, 0, 2, 2), (0, 0)),
        ((4, 4), (8, 8), Padding(2, 2, 2, 2), (0, 0)),
        ((2, 2), (2, 2), Padding(3, 2, 0, 5), (0, 0)),
    ],
    ids=str,
)
def test_every_geometry(
    stride: tuple[int, int],
    kernel: tuple[int, int],
    padding: Padding,
    more: tuple[int, int],
    groups: int,
    sketch: Any,
    unchanged: Unchanged,
) -> None:
    before = sketch.end(_transposed(sketch, "up", "x", TransposedConv2d(stride, padding, more, groups), kernel, 8))
    unchanged(before, lower_transposed_convolution(before))


def test_a_kernel_as_large_as_the_stride_costs_nothing_more(sketch: Any, kinds: Kinds) -> None:
    before = sketch.end(_transposed(sketch, "up", "x", TransposedConv2d((2, 2)), (2, 2)))
    after = lower_transposed_convolution(before)
    assert kinds(after)[:2] == ["Conv2d", "Rearrange"]
    assert after.macs == before.macs


def test_it_is_a_layer_until_then(sketch: Any, kinds: Kinds, unchanged: Unchanged) -> None:
    """Batch normalization and clamps become part of it; what stands before it and moves zero does not."""
    normed = sketch.norm("before", "x")
    x = sketch.norm("norm", _transposed(sketch, "up", normed, TransposedConv2d((2, 2), Padding(1, 0, 0, 1)), (3, 3)))
    before = sketch.end(sketch.apply("relu6", Clamp(0.0, 6.0), sketch.plus("plus", x, 1.0)))
    for form in (float_form, integer_form):
        after = form(before)
        assert kinds(after) == ["Conv2d", "Conv2d", "Rearrange", "Mean", "Linear"]
        assert after.nodes[1].activation == Clamp(0.0, 6.0)
        assert len(after.statistics["up"].mean) == 16
        unchanged(before, after)
