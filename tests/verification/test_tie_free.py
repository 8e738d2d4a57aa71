"""An integer model whose runtimes could disagree is refused, and the tensor is named."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgekit.ir import Add, Concat, Conv2d, HardSwish, Mean, Mul, Op, Rearrange
from edgekit.quantization import QuantParams, Ratio
from edgekit.verification.tie_free import broken_conditions
from tests.networks import MIXED_BLOCK, FloatSketch, v3_block

if TYPE_CHECKING:
    from edgekit.integer_model import IntegerModel
    from edgekit.ir import Node


@pytest.fixture(scope="module")
def model() -> IntegerModel:
    s = FloatSketch((3, 32, 32), seed=2)
    v3_block(s)
    return s.integer_model()


def first(model: IntegerModel, op: type[Op], inputs: int = 1) -> Node:
    """The first node of a kind whose inputs are activations, at least so many."""
    return next(n for n in model.graph if isinstance(n.op, op) and len(model.graph.activations(n)) >= inputs)


def with_ratio(model: IntegerModel, node: Node, *ratios: tuple[int, int]) -> IntegerModel:
    """Other ratios, and the scale of the result that they follow from: both agree."""
    ratio = Ratio.of(*ratios)
    wanted = model.ratios[node.name].fraction() / ratio.fraction()
    scale = (model.params[node.output].scale * np.float32(wanted)).astype(np.float32)
    params = {**model.params, node.output: replace(model.params[node.output], scale=scale)}
    return replace(model, ratios={**model.ratios, node.name: ratio}, params=params)


def test_what_was_assigned_keeps_every_condition(model: IntegerModel) -> None:
    assert broken_conditions(model) == ()


@pytest.mark.parametrize(
    ("op", "ratio", "words"),
    [
        (Mul, (1, 4097), "the denominator 4097 may not exceed 4095"),
        (Mul, (257, 1), "it has to be below 256"),
    ],
)
def test_a_ratio_beyond_its_bound(model: IntegerModel, op: type[Op], ratio: tuple[int, int], words: str) -> None:
    node = first(model, op)
    found = [c for c in broken_conditions(with_ratio(model, node, ratio)) if c.layer == node.name]
    (only,) = found
    assert only.tensor == node.output
    assert only.found == f"{ratio[0]}/{ratio[1]}".removesuffix("/1")
    assert words in only.bound
    assert "LiteRT with XNNPACK" in only.runtimes or only.runtimes.startswith("LiteRT")


def test_a_mean_whose_kernels_are_not_precise_enough(model: IntegerModel) -> None:
    """How near sums come to ties depends on their number, so that of another picture makes a model unproven."""
    node = first(model, Mean)
    x = node.inputs[0]
    channels, _, _ = model.graph.tensors[x].shape
    large = replace(model.graph.tensors[x], shape=(channels, 256, 256))
    graph = replace(model.graph, tensors={**model.graph.tensors, x: large})
    wanted = Ratio.of((60_339, 60_337 * 65_536 + 1))
    scale = np.float32(float(model.params[x].scale[0]) / 65_536 / wanted.value[0])
    params = {**model.params, node.output: QuantParams(np.array([scale], np.float32), -17)}
    changed = replace(model, graph=graph, params=params, ratios={**model.ratios, node.name: wanted})
    found = [condition for condition in broken_conditions(changed) if condition.layer == node.name]
    assert any("for 65536 values" in condition.found and "nearer to a tie" in condition.bound for condition in found)


@pytest.mark.parametrize("size", [128, 160, 192, 224, 256, 320])
def test_means_of_many_values_are_given_scales_that_serve(size: int) -> None:
    """V3's first mean at 512 x 512 is one of 16,384 values or, where the first block has stride 1, of 65,536."""
    for seed in range(3):
        s = FloatSketch((4, size, size), seed=seed)
        s.linear(s.mean("x", keep_dims=False), 10)
        assert broken_conditions(s.integer_model()) == ()


def test_an_operator_of_which_nothing_is_proven(model: IntegerModel) -> None:
    node = first(model, Mul)
    changed = replace(node, op=HardSwish())
    graph = replace(model.graph, nodes=tuple(changed if one is node else one for one in model.graph))
    (only,) = broken_conditions(replace(model, graph=graph))
    assert (only.layer, only.found, only.bound) == (node.name, "it is made by HardSwish", "nothing is proven of that")
    assert not replace(model, graph=graph).exact


def test_an_add_beyond_its_bound(model: IntegerModel) -> None:
    """The common denominator counts, not those of the fractions in lowest terms."""
    node = first(model, Add, inputs=2)
    a, b = model.params[node.inputs[0]].scale, model.params[node.inputs[1]].scale
    wanted = float(b[0] / a[0])
    q = 3 * 347
    ratio = Ratio.of((347, q), (round(347 * wanted), q))
    found = broken_conditions(replace(model, ratios={**model.ratios, node.name: ratio}))
    assert any(f"neither term may exceed 1023, and one is {q}" in condition.bound for condition in found)
    assert {condition.layer for condition in found} == {node.name}


@pytest.mark.parametrize("factor", [1 + 2e-6, 1 - 2e-6, 1.5])
@pytest.mark.parametrize(("op", "index"), [(Conv2d, 1), (Add, 0), (Mul, 1), (Mean, 0)])
def test_a_scale_that_does_not_give_the_ratio(model: IntegerModel, op: type[Op], index: int, factor: float) -> None:
    """Twenty units in the last place of float32 are found; rounding to float32 is not."""
    node = first(model, op, inputs=2 if op in {Add, Mul} else 1)
    name = node.inputs[index]
    scale = (model.params[name].scale.astype(np.float64) * factor).astype(np.float32)
    changed = replace(model, params={**model.params, name: replace(model.params[name], scale=scale)})
    found = [condition for condition in broken_conditions(changed) if condition.layer == node.name]
    assert found
    assert "the scales give" in found[0].found
    assert "every one" not in str(found[0])


def test_one_channel_is_named(model: IntegerModel) -> None:
    node = first(model, Conv2d)
    scale = model.params[node.inputs[1]].scale.copy()
    scale[5] *= np.float32(1.01)
    changed = replace(model, params={**model.params, node.inputs[1]: QuantParams(scale)})
    (only,) = broken_conditions(changed)
    assert (only.layer, only.tensor) == (node.name, node.output)
    assert "in channel 5" in only.found
    assert str(only).endswith(f"LiteRT, ONNX Runtime, Core ML and torch can disagree (layer {node.name})")


def test_a_ratio_that_is_missing_or_of_other_channels(model: IntegerModel) -> None:
    node = first(model, Conv2d)
    (missing,) = broken_conditions(replace(model, ratios={k: v for k, v in model.ratios.items() if k != node.name}))
    assert (missing.layer, missing.found) == (node.name, "no ratio")
    (fewer,) = broken_conditions(replace(model, ratios={**model.ratios, node.name: Ratio.of((1, 3))}))
    assert fewer.found == "1 ratios"


@pytest.mark.parametrize(
    ("position", "value", "words"), [(1, -128, "a weight of -128"), (2, 2**30 + 1, "1073741825 in channel 0")]
)
def test_integers_beyond_their_bound(model: IntegerModel, position: int, value: int, words: str) -> None:
    node = first(model, Conv2d)
    array = model.graph.constants[node.inputs[position]].copy()
    array.reshape(-1)[0] = value
    constants = {**model.graph.constants, node.inputs[position]: array}
    (only,) = broken_conditions(replace(model, graph=replace(model.graph, constants=constants)))
    assert (only.layer, only.tensor, only.found) == (node.name, node.inputs[position], words)


def test_weights_beyond_seven_bits(model: IntegerModel) -> None:
    """Kernels that saturate beyond 64 give other integers then."""
    found = broken_conditions(replace(model, lowering="seven-bit"))
    assert found
    assert all("a weight of" in broken.found and "64" in broken.bound for broken in found)


def test_what_only_moves_integers_keeps_their_meaning() -> None:
    s = FloatSketch((8, 7, 7))
    s.linear(s.flatten(s.mean("x")), 10)
    model: IntegerModel = s.integer_model()
    node = first(model, Rearrange)
    params = model.params[node.output]
    other = replace(params, zero_point=params.zero_point + 1)
    (only, *_) = broken_conditions(replace(model, params={**model.params, node.output: other}))
    assert (only.layer, only.tensor) == (node.name, node.output)
    assert "nothing is requantized" in only.bound


def test_what_is_joined_has_one_scale() -> None:
    s = FloatSketch((8, 7, 7))
    x = s.conv("x", 8)
    s.linear(s.mean(s.concat("x", x), keep_dims=False), 10)
    model = s.integer_model()
    assert broken_conditions(model) == ()
    node = first(model, Concat)
    scale = model.params[x].scale
    other = replace(model.params[x], scale=(scale * np.float32(7)).astype(np.float32))
    found = [c for c in broken_conditions(replace(model, params={**model.params, x: other})) if c.layer == node.name]
    (only,) = found
    assert f"those of {x} are {other.scale[0]:.9g}" in only.bound


def test_layers_that_claim_nothing_are_left_out() -> None:
    for options in ({"keep_float": MIXED_BLOCK}, {"int16": ("layer.1", "layer.2")}):
        s = FloatSketch((3, 32, 32), seed=5)
        v3_block(s)
        assert broken_conditions(s.integer_model(**options)) == ()
