"""Multiplications by a constant into the layers around them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from edgekit.ir import Clamp, Concat, HardSwish, Output, Padding
from edgekit.passes.absorb_scales import absorb_scales
from edgekit.passes.lower_hard_swish import lower_hard_swish

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.ir import Graph

    Unchanged = Callable[[Graph, Graph], None]


def _factors(graph: Graph) -> dict[str, object]:
    return {name: tensor.factor for name, tensor in graph.tensors.items() if tensor.factor != 1}


def _square(sketch: Any, name: str, x: str) -> Any:
    """Something that is no layer and makes no constant."""
    return sketch.mul(name, x, x)


def test_into_the_convolution_behind(sketch: Any, kinds: Callable[[Graph], list[str]], unchanged: Unchanged) -> None:
    scaled = sketch.times("scaled", _square(sketch, "square", "x"), 1 / 6)
    before = sketch.end(sketch.conv("conv", scaled))
    after = absorb_scales(before)
    assert kinds(after) == ["Mul", "Conv2d", "Mean", "Rearrange", "Linear"]
    assert _factors(after) == {"scaled": 6.0}  # exactly, though the constant is float32(1 / 6)
    assert "square" not in after.tensors
    unchanged(before, after)


def test_through_what_is_homogeneous(sketch: Any, kinds: Callable[[Graph], list[str]], unchanged: Unchanged) -> None:
    x = sketch.times("scaled", _square(sketch, "square", "x"), 0.25)
    x = sketch.apply("clamp", Clamp(-1.0, 3.0), sketch.pad("pad", x, Padding(1, 1, 1, 1)))
    x = sketch.plus("plus", x, 2.0)
    before = sketch.end(x)
    after = absorb_scales(before)
    assert _factors(after) == dict.fromkeys(["scaled", "pad", "clamp", "plus", "pool", "pool.flatten"], 4.0)
    assert after.nodes[2].op == Clamp(-4.0, 12.0)
    assert after.constants["plus.operand"].tolist() == [8.0]
    unchanged(before, after)


def test_products_multiply_their_factors(sketch: Any, unchanged: Unchanged) -> None:
    a = sketch.times("a", _square(sketch, "square", "x"), 0.5)
    b = sketch.times("b", sketch.mean("mean", a), 0.25)
    before = sketch.end(sketch.mul("product", a, b))
    after = absorb_scales(before)
    assert _factors(after) == {"a": 2.0, "b": 8.0, "product": 16.0, "pool": 16.0, "pool.flatten": 16.0}
    unchanged(before, after)


def test_a_sum_raises_the_other_branch_to_its_layer(sketch: Any, unchanged: Unchanged) -> None:
    scaled = sketch.times("scaled", _square(sketch, "square", "x"), 1 / 6)
    branch = sketch.apply("relu6", Clamp(0.0, 6.0), sketch.conv("branch", scaled, kernel=3))
    branch = sketch.plus("plus", sketch.pad("pad", branch, Padding(1, 1, 1, 1)), 1.0)
    total = sketch.add("sum", scaled, branch)
    before = sketch.end(sketch.add("again", sketch.conv("first", "x"), total))
    after = absorb_scales(before)
    raised = ["scaled", "branch", "relu6", "pad", "plus", "sum", "first", "again", "pool", "pool.flatten"]
    assert _factors(after) == dict.fromkeys(raised, 6.0)
    unchanged(before, after)


def test_branches_that_are_joined_carry_one_factor(sketch: Any, unchanged: Unchanged) -> None:
    swish = sketch.apply("swish", HardSwish(), sketch.conv("a", "x"))
    joined = sketch.apply("joined", Concat(), swish, sketch.conv("b", "x"), sketch.conv("c", "x"))
    before = sketch.end(sketch.conv("behind", joined))
    after = absorb_scales(lower_hard_swish(before))
    factors = _factors(after)
    assert {name: factors.get(name) for name in ("swish", "b", "c", "joined", "behind")} == {
        **dict.fromkeys(("swish", "b", "c", "joined"), 6.0),
        "behind": None,
    }
    unchanged(before, after)


def test_a_raised_layer_is_absorbed_by_its_other_readers(sketch: Any, unchanged: Unchanged) -> None:
    branch = sketch.conv("branch", "x")
    scaled = sketch.times("scaled", _square(sketch, "square", "x"), 1 / 6)
    total = sketch.add("sum", branch, scaled)
    before = sketch.end(sketch.add("late", sketch.conv("other", branch), sketch.conv("main", total)))
    after = absorb_scales(before)
    assert _factors(after) == {"branch": 6.0, "scaled": 6.0, "sum": 6.0}
    unchanged(before, after)


def test_hard_swish_wants_its_input_as_it_is(sketch: Any, unchanged: Unchanged) -> None:
    x = sketch.conv("conv", "x")
    gate = sketch.times("gate", sketch.apply("relu6", Clamp(0.0, 6.0), sketch.conv("fc", sketch.mean("m", x))), 1 / 6)
    before = sketch.end(sketch.apply("act", HardSwish(), sketch.mul("product", x, gate)))
    after = absorb_scales(before)
    assert _factors(after) == {"fc": pytest.approx(1 / 6)}
    clamp = next(node.op for node in after if node.output == "gate")
    assert clamp == Clamp(0.0, 1.0)
    unchanged(before, after)


def test_so_does_an_output(sketch: Any, unchanged: Unchanged) -> None:
    x = sketch.apply("relu", Clamp(0.0), sketch.dense("dense", sketch.mean("mean", "x")))
    before = sketch.ending_in(sketch.times("half", x, 0.5))
    after = absorb_scales(before)
    assert after.output_tensors == ("half",)
    assert after.tensors["half"].factor == 1.0
    unchanged(before, after)


def test_what_is_scaled_keeps_its_name_where_others_know_it(sketch: Any, unchanged: Unchanged) -> None:
    square = _square(sketch, "square", "x")
    once = sketch.times("once", square, 0.5)
    twice = sketch.times("twice", once, 0.5)
    total = sketch.add("sum", sketch.conv("a", square), sketch.conv("b", once))
    before = sketch.end(sketch.add("all", total, sketch.conv("c", twice)))
    after = absorb_scales(before)
    assert after.tensors.keys() & {"square", "once", "twice"} == {"square"}
    assert _factors(after) == {}
    unchanged(before, after)


def test_a_chain_of_scales_has_the_last_name(sketch: Any, unchanged: Unchanged) -> None:
    x = sketch.times("twice", sketch.times("once", _square(sketch, "square", "x"), 0.5), 0.5)
    before = sketch.end(sketch.conv("conv", x))
    after = absorb_scales(before)
    assert _factors(after) == {"twice": 4.0}
    unchanged(before, after)


def test_a_scaled_image_is_the_image(sketch: Any, unchanged: Unchanged) -> None:
    before = sketch.end(sketch.conv("conv", sketch.times("scaled", "x", 1 / 255)))
    after = absorb_scales(before)
    assert after.nodes[0].inputs[0] == "x"
    assert _factors(after) == {}
    unchanged(before, after)


def test_scales_of_any_size_are_exact(sketch: Any, unchanged: Unchanged) -> None:
    x = sketch.times("large", _square(sketch, "square", "x"), 12345.678)
    x = sketch.times("small", sketch.pad("pad", x, Padding(1)), 1e-7)
    before = sketch.end(sketch.conv("conv", x))
    unchanged(before, absorb_scales(before))


def test_the_first_residual_of_mobilenet_v3_large(sketch: Any, unchanged: Unchanged) -> None:
    stem = sketch.apply("stem", HardSwish(), sketch.conv("stem.conv", "x"))
    depthwise = sketch.apply("relu", Clamp(0.0), sketch.conv("depthwise", stem, groups=4))
    before = sketch.end(sketch.add("sum", stem, sketch.conv("project", depthwise)))
    after = absorb_scales(lower_hard_swish(before))
    assert _factors(after) == dict.fromkeys(["stem", "project", "sum", "pool", "pool.flatten"], 6.0)
    assert after.constants["project.bias"] == pytest.approx(6 * before.constants["project.bias"])
    assert after.constants["depthwise.weight"] == pytest.approx(before.constants["depthwise.weight"] / 6)
    unchanged(before, after)


@pytest.mark.parametrize("scale", [0.0, -2.0])
def test_only_factors_above_zero(
    scale: float, sketch: Any, kinds: Callable[[Graph], list[str]], unchanged: Unchanged
) -> None:
    """No clamp lets others through, so they stay, and take what others ask for."""
    scaled = sketch.times("half", sketch.times("scaled", _square(sketch, "square", "x"), scale), 0.5)
    before = sketch.end(sketch.apply("relu", Clamp(0.0), scaled))
    after = absorb_scales(before)
    assert kinds(after) == ["Mul", "Mul", "Clamp", "Mean", "Rearrange", "Linear"]
    assert _factors(after) == dict.fromkeys(("half", "relu", "pool", "pool.flatten"), 2.0)
    unchanged(before, after)


def test_an_image_cannot_carry_a_factor(sketch: Any, kinds: Callable[[Graph], list[str]], unchanged: Unchanged) -> None:
    scaled = sketch.times("scaled", _square(sketch, "square", "x"), 0.5)
    before = sketch.end(sketch.times("double", sketch.add("sum", "x", scaled), 2.0))
    after = absorb_scales(before)
    assert kinds(after) == ["Mul", "Mul", "Add", "Mean", "Rearrange", "Linear"]
    assert _factors(after) == dict.fromkeys(("double", "pool", "pool.flatten"), 0.5)
    unchanged(before, after)


def test_a_sum_with_a_product_of_itself_never_settles(
    sketch: Any, kinds: Callable[[Graph], list[str]], unchanged: Unchanged
) -> None:
    x = sketch.conv("conv", "x")
    act = sketch.times("act", sketch.mul("product", x, sketch.plus("plus", x, 3.0)), 1 / 6)
    before = sketch.end(sketch.add("sum", x, act))
    after = absorb_scales(before)
    assert kinds(after) == ["Conv2d", "Add", "Mul", "Mul", "Add", "Mean", "Rearrange", "Linear"]
    unchanged(before, after)


def test_arrays_stay_and_take_factors(sketch: Any, kinds: Callable[[Graph], list[str]], unchanged: Unchanged) -> None:
    x = sketch.times("half", _square(sketch, "square", "x"), 0.5)
    x = sketch.affine("map", x, sketch.values(4, 6, 6), sketch.values(1, 6, 6))
    before = sketch.end(sketch.times("third", x, 1 / 3))
    after = absorb_scales(before)
    assert kinds(after) == ["Mul", "Mul", "Add", "Mean", "Rearrange", "Linear"]
    assert _factors(after) == {"half": 2.0} | dict.fromkeys(("third", "pool", "pool.flatten"), 3.0)
    unchanged(before, after)


def test_several_outputs(sketch: Any, unchanged: Unchanged) -> None:
    graph = sketch.end(sketch.times("scaled", sketch.conv("conv", "x"), 0.5))
    before = replace(graph, outputs=(*graph.outputs, Output("seen", "scaled")))
    unchanged(before, absorb_scales(before))
