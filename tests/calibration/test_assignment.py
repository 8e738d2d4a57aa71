"""From ranges to integers: what every integer model has to satisfy, for good ranges and for absurd ones."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from edgekit import curves
from edgekit.calibration.assignment import quantize
from edgekit.calibration.options import Options
from edgekit.calibration.pixel_input import fold_normalization
from edgekit.calibration.ranges import MIN_RANGE, Range
from edgekit.conventions import IMAGENET_MEAN, IMAGENET_STD
from edgekit.errors import ConfigError, DataError, UnsupportedOperator
from edgekit.ir import (
    Add,
    Clamp,
    Concat,
    Conv2d,
    Linear,
    Mean,
    Mul,
    Node,
    Pad,
    Quantize,
    Rearrange,
)
from edgekit.ir.operators.resize import NEAREST
from edgekit.preprocessing import Normalization, Preprocessing
from edgekit.quantization import BIAS_LIMIT, MAX_DENOMINATOR, MAX_TERM_ADD, SCALE_TOLERANCE
from edgekit.reference.float import FloatReference
from edgekit.reference.integer import Reference
from edgekit.verification.tie_free import broken_conditions
from tests.networks import RELU, RELU6, SAME, FloatSketch

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edgekit.float_model import FloatModel
    from edgekit.integer_model import IntegerModel

SHAPE = (3, 10, 8)


def head(s: FloatSketch, x: str, classes: int = 5) -> None:
    s.linear(s.flatten(s.mean(x)), classes)


def everything() -> FloatSketch:
    """Inverted residuals with ReLU6, hard-swish and squeeze-and-excite."""
    s = FloatSketch(SHAPE)
    x = s.integer_hard_swish(s.conv("x", 8, 3, (2, 2), SAME))
    y = s.conv(s.conv(x, 24, clamp=RELU6), None, 3, padding=SAME, clamp=RELU6)
    x = s.add(x, s.conv(y, 8))
    y = s.conv(s.conv(x, 24, clamp=RELU), None, 3, padding=SAME, clamp=RELU)
    y = s.mul(y, s.conv(s.conv(s.mean(y), 6, clamp=RELU), 24, clamp=RELU6))
    x = s.add(s.conv(y, 8), x)
    head(s, s.pad(x, SAME))
    return s


def check(model: IntegerModel, source: FloatModel) -> None:
    """Assert what exporters and kernels rely on."""
    graph, params = model.graph, model.params
    scale = {name: p.scale.astype(np.float64) for name, p in params.items()}
    assert all(p.scale.dtype == np.float32 and (p.scale > 1e-12).all() for p in params.values())
    integers = [node for node in graph if node.output in params and not isinstance(node.op, Quantize)]
    assert graph.tensors.keys() - params.keys() == {node.output for node in graph if node.output not in params}
    assert all(-128 <= params[name].zero_point <= 127 for name in graph.tensors.keys() & params.keys())
    assert model.ratios.keys() == {n.name for n in integers if n.op.requantizes}
    for node in model.float_nodes:
        assert node.activation == next(n.activation for n in source.graph if n.name == node.name)
        assert all(graph.constants[name].dtype == np.float32 for name in node.inputs if name in graph.constants)
    for node in integers:
        assert node.activation is None
        out = scale[node.output]
        match node.op:
            case Conv2d() | Linear():
                check_layer(model, source, node)
                inputs = scale[node.inputs[0]] * scale[node.inputs[1]]
                assert model.ratios[node.name].value.max() < 256
            case Add():
                inputs = np.concatenate([scale[name] for name in node.inputs])
                stored = [params[name].scale / params[node.output].scale for name in node.inputs]  # in float32
                assert all(2**-10 <= ratio < 256 for ratio in stored)
                assert (
                    max(model.ratios[node.name].numerator.max(), model.ratios[node.name].denominator[0]) <= MAX_TERM_ADD
                )
            case Mul():
                inputs = scale[node.inputs[0]] * scale[node.inputs[1]]
                assert 2**-16 <= model.ratios[node.name].value[0] < 256
            case Mean():
                inputs = scale[node.inputs[0]] / math.prod(graph.tensors[node.inputs[0]].shape[1:])
            case _:
                assert params[node.output].zero_point == params[node.inputs[0]].zero_point
                assert (out == scale[node.inputs[0]]).all()
                continue
        np.testing.assert_allclose(inputs / out, model.ratios[node.name].value, rtol=1e-6)
        if not isinstance(node.op, Mean):  # whose denominators may have to be larger
            assert model.ratios[node.name].denominator.max() <= MAX_DENOMINATOR


def check_layer(model: IntegerModel, source: FloatModel, node: Node) -> None:
    x, weight, bias = node.inputs
    stored, stored_bias = model.graph.constants[weight], model.graph.constants[bias]
    assert stored.dtype == np.int8
    assert stored_bias.dtype == np.int32
    assert np.abs(stored.astype(int)).max() <= 127
    assert np.abs(stored_bias.astype(np.int64)).max() <= BIAS_LIMIT
    scale = model.params[weight].scale.astype(np.float64)
    assert model.params[weight].zero_point == 0
    if model.pixel_input and x == model.graph.input:
        return  # its constants are other ones
    real, real_bias = source.graph.constants[weight], source.graph.constants[bias]
    off = np.abs(stored.reshape(len(stored), -1) * scale[:, None] - real.reshape(len(real), -1))
    assert (off <= 1.2 * scale[:, None]).all()  # half a step, and 0.5 % of the largest one that is cut off
    assert ((off / scale[:, None]) ** 2).mean() < 1 / 6
    step = model.params[x].scale[0] * scale
    inside = np.abs(stored_bias.astype(np.int64)) < BIAS_LIMIT
    assert (np.abs(stored_bias * step - real_bias)[inside] <= (0.51 * step + 1e-6 * np.abs(real_bias))[inside]).all()


def stored_pixels(pixels: NDArray[np.uint8]) -> NDArray[np.int8]:
    return (pixels.astype(np.int16) - 128).astype(np.int8).transpose(0, 3, 1, 2)


# --- good ranges ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pixel_input", [True, False])
def test_a_network_with_everything(*, pixel_input: bool) -> None:
    s = everything()
    source, pixels = s.float_model(), s.pixels(8)
    model = quantize(source, s.ranges(), Options(pixel_input=pixel_input))
    check(model, source)
    assert (model.labels, model.provenance, model.lowering) == (source.labels, source.provenance, "universal")
    assert model.preprocessing == source.preprocessing
    real = model.normalization(pixels)
    stored = stored_pixels(pixels) if pixel_input else model.params["x"].quantize(real)
    assert model.pixel_input == pixel_input
    if pixel_input:
        np.testing.assert_allclose(model.params["x"].dequantize(stored), real, atol=1e-6)
    logits = source.graph.output_tensors[0]
    got = model.params[logits].dequantize(Reference(model).run(stored)["logits"])
    expected = FloatReference(source.graph).run(source.preprocessing.normalization(pixels))["logits"]
    assert np.sqrt(((got - expected) ** 2).mean() / (expected**2).mean()) < 0.06


def test_equal_ranges_give_equal_models() -> None:
    s = everything()
    ranges = s.ranges()
    one, other = (quantize(s.float_model(), ranges) for _ in range(2))
    for name, array in one.graph.constants.items():
        np.testing.assert_array_equal(array, other.graph.constants[name])
    for name, params in one.params.items():
        assert (params.scale == other.params[name].scale).all()


@pytest.mark.parametrize(
    ("options", "profile"),
    [({}, "seven-bit"), ({"keep_float": ["layer.0"]}, "seven-bit-mixed"), ({"int16": ["layer.0"]}, "seven-bit-mixed")],
)
def test_weights_of_seven_bits(options: dict[str, Any], profile: str) -> None:
    s = everything()
    model = quantize(s.float_model(), s.ranges(), Options(weight_bits=7, pixel_input=False, **options))
    assert (model.lowering, model.weight_limit) == (profile, 64)
    chosen = {name for names in options.values() for name in names}
    layers = [node for node in model.graph if isinstance(node.op, Conv2d | Linear) and node.name not in chosen]
    reach = [np.abs(model.graph.constants[node.inputs[1]].astype(int)).max() for node in layers]
    assert max(reach) <= 64
    assert min(reach) >= 60  # scales are as small as that allows


def test_scales_stay_near_their_ranges() -> None:
    s = everything()
    ranges = s.ranges()
    model = quantize(s.float_model(), ranges, Options(pixel_input=False))
    for node in s.nodes:
        if not isinstance(node.op, Pad | Rearrange):  # they have their inputs' scales
            width = ranges[node.output].high - ranges[node.output].low
            assert model.params[node.output].scale[0] * 255 == pytest.approx(width, rel=0.0051), node


def test_convolutions_leave_scales_to_sums() -> None:
    """Both operands of the sum are read by convolutions before: the second one still moves."""
    s = FloatSketch(SHAPE)
    a, b = s.conv("x", 4), s.conv("x", 4)
    s.conv(a, 4)
    s.conv(b, 4)
    head(s, s.add(a, b))
    model = quantize(s.float_model(), s.ranges(), Options(pixel_input=False))
    check(model, s.float_model())


def test_operands_in_either_order() -> None:
    for swapped in (False, True):
        s = FloatSketch(SHAPE)
        fixed = s.mul(s.conv("x", 4), s.conv("x", 4))
        free = s.conv("x", 4)
        s.add(free, fixed) if swapped else s.add(fixed, free)
        check(quantize(s.float_model(), s.ranges(), Options(pixel_input=False)), s.float_model())


def test_a_clamp_is_the_range_even_if_the_ranges_say_more() -> None:
    s = FloatSketch(SHAPE)
    x = s.conv("x", 4, clamp=RELU6)
    y = s.conv(x, 4, clamp=Clamp(-3.0))
    z = s.conv(y, 4, clamp=RELU)
    head(s, z)
    ranges = s.ranges() | {x: Range(-2.0, 9.0), y: Range(-8.0, 9.0), z: Range(-2.0, 9.0)}
    model = quantize(s.float_model(), ranges, Options(pixel_input=False))
    for name, low, high in ((x, 0, 6), (y, -3, 9), (z, 0, 9)):
        ends = model.params[name].dequantize(np.array([-128, 127], np.int8))
        np.testing.assert_allclose(ends, [low, high], atol=float(model.params[name].scale[0]) * 0.51)


# --- the input ------------------------------------------------------------------------------------------------------

HALF = Normalization((127.5,) * 3, (127.5,) * 3)
IMAGENET = Normalization(tuple(255 * m for m in IMAGENET_MEAN), tuple(255 * s for s in IMAGENET_STD))


@pytest.mark.parametrize(
    ("normalization", "centre", "limit"),
    [
        (HALF, 128, 0.5 / 127.5),
        (IMAGENET, 114, 11 / 57),
        (Normalization((0.0,) * 3, (255.0,) * 3), 0, 0.0),
        (Normalization((127.0,) * 3, (1.0,) * 3), 127, 0.0),
        (Normalization((300.0, -20.0, 700.0), (3.0, 200.0, 50.0)), 255, math.inf),
        (Normalization((-500.0,) * 3, (1.0,) * 3), 0, math.inf),
    ],
    ids=["half", "imagenet", "zero", "raw", "wild", "negative"],
)
def test_folding_the_normalization(normalization: Normalization, centre: int, limit: float) -> None:
    s = FloatSketch((3, 12, 9))
    s.conv("x", 16, 3, (2, 2), SAME)
    graph, pixels = s.float_model().graph, s.pixels(4)
    folded, meaning = fold_normalization(graph, normalization)
    assert list(meaning.mean) == [centre] * 3
    assert len(set(meaning.std)) == 1
    expected = FloatReference(graph).run(normalization(pixels))["logits"]
    got = FloatReference(folded).run(meaning(pixels))["logits"]
    scale = np.abs(expected).max()
    off = np.abs(got - expected) / scale
    assert off[:, :, 1:-1, 1:-1].max() < 1e-5
    # At the border, no more than the taps outside of the image make of half a level, or of the difference of the means.
    taps = np.abs(graph.constants[s.nodes[0].inputs[1]]).sum((1, 2, 3)).max()
    assert off.max() * scale <= limit * taps + 1e-5 * scale


def test_pixels_are_exact() -> None:
    for mean, std in (((0.5,) * 3, (0.5,) * 3), (IMAGENET_MEAN, IMAGENET_STD), ((0.0,) * 3, (1.0,) * 3)):
        s = FloatSketch(SHAPE)
        head(s, s.conv("x", 4, 3, padding=SAME))
        source = replace(s.float_model(), preprocessing=Preprocessing((10, 8), None, mean, std))
        model = quantize(source, {name: r for name, r in s.ranges().items() if name != "x"})
        check(model, source)
        levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, 3)
        real = model.params["x"].dequantize(stored_pixels(levels))
        np.testing.assert_allclose(real, model.normalization(levels), rtol=1e-6, atol=1e-6)


def test_an_input_that_cannot_be_folded() -> None:
    s = FloatSketch(SHAPE)
    s.add(s.conv("x", 3), "x")
    with pytest.raises(UnsupportedOperator, match=r"the input of tiny goes into 'layer\.1', which is no convolution"):
        quantize(s.float_model(), s.ranges())
    check(quantize(s.float_model(), s.ranges(), Options(pixel_input=False)), s.float_model())


@pytest.mark.parametrize("kind", ["two convolutions", "depthwise"])
def test_an_input_of_several_convolutions(kind: str) -> None:
    s = FloatSketch(SHAPE)
    if kind == "depthwise":
        s.conv(s.conv("x", None, 3, padding=SAME), 3)
    else:
        s.add(s.conv("x", 3), s.conv("x", 3))
    graph, pixels = s.float_model().graph, s.pixels(4)
    folded, meaning = fold_normalization(graph, IMAGENET)
    expected, got = (
        reference.run(x)["logits"][..., 1:-1, 1:-1]  # the border is padded with another value
        for reference, x in ((FloatReference(graph), IMAGENET(pixels)), (FloatReference(folded), meaning(pixels)))
    )
    np.testing.assert_allclose(got, expected, atol=1e-5 * np.abs(expected).max())
    check(quantize(s.float_model(), s.ranges()), s.float_model())


# --- layers in float ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("pixel_input", [True, False])
def test_any_layers_may_stay_in_float(seed: int, *, pixel_input: bool) -> None:
    s, random = everything(), np.random.default_rng(seed)
    source, pixels = s.float_model(), s.pixels(8)
    kept = {node.name for node in s.nodes if random.random() < (seed + 1) / 12}
    model = quantize(source, s.ranges(), Options(pixel_input=pixel_input, keep_float=kept))
    check(model, source)
    assert {node.name for node in model.float_nodes} == kept
    assert model.lowering == ("mixed" if kept else "universal")
    assert model.provenance.get("kept_float", []) == [node.name for node in s.nodes if node.name in kept]
    logits = source.graph.output_tensors[0]
    got = model.real(logits, Reference(model).run(model.encode(pixels))["logits"])
    expected = FloatReference(source.graph).run(source.preprocessing.normalization(pixels))["logits"]
    assert np.sqrt(((got - expected) ** 2).mean() / (expected**2).mean()) < 0.06


def test_all_layers_in_float_are_the_float_network() -> None:
    """But for the image, which is quantized; and the border, where the normalization is folded."""
    s = everything()
    source, pixels = s.float_model(), s.pixels(4)
    model = quantize(source, {}, Options(keep_float=[node.name for node in s.nodes]))
    got = Reference(model).run(model.encode(pixels))["logits"]
    inside = FloatReference(fold_normalization(source.graph, source.preprocessing.normalization)[0])
    np.testing.assert_allclose(got, inside.run(model.normalization(pixels))["logits"], rtol=1e-5, atol=1e-6)


def test_ranges_are_asked_for_what_is_quantized() -> None:
    s = everything()
    ranges = s.ranges()
    inner, border = s.nodes[1].output, s.nodes[2].output  # within the first hard-swish, and what it makes
    del ranges[inner]
    kept = [node.name for node in s.nodes[:3]]
    check(quantize(s.float_model(), ranges, Options(keep_float=kept)), s.float_model())
    del ranges[border]
    with pytest.raises(DataError, match=f"no range for {border}: calibrate"):
        quantize(s.float_model(), ranges, Options(keep_float=kept))


def test_a_sum_that_no_scales_fit_may_stay_in_float() -> None:
    s = FloatSketch(SHAPE)
    s.add(s.mul(s.conv("x", 4), s.conv("x", 4)), s.mul(s.conv("x", 4), s.conv("x", 4)))
    check(quantize(s.float_model(), s.ranges(), Options(pixel_input=False, keep_float=["layer.6"])), s.float_model())


def test_unknown_layers_are_named() -> None:
    s = everything()
    with pytest.raises(ConfigError, match="tiny has no layer 'm'"):
        quantize(s.float_model(), s.ranges(), Options(keep_float=["m"]))


# --- degenerate networks --------------------------------------------------------------------------------------------


def evaluate(s: FloatSketch, ranges: dict[str, Range] | None = None) -> IntegerModel:
    model = quantize(s.float_model(), ranges or s.ranges())
    check(model, s.float_model())
    Reference(model).run(stored_pixels(s.pixels(2)))
    return model


def test_dead_channels() -> None:
    s = everything()
    for node in s.nodes:
        if isinstance(node.op, Conv2d | Linear):
            s.constants[node.inputs[1]][0] = 0
    evaluate(s)


def test_a_tensor_that_is_always_zero() -> None:
    s = FloatSketch(SHAPE)
    x = s.conv("x", 8, clamp=RELU6)
    s.constants[s.nodes[-1].inputs[1]][:] = 0
    s.constants[s.nodes[-1].inputs[2]][:] = -1
    y = s.conv(x, 8)
    y = s.add(y, s.conv(s.integer_hard_swish(x), None, 3, padding=SAME, clamp=RELU))
    y = s.mul(y, s.conv(s.mean(x), 8, clamp=RELU6))
    head(s, y)
    assert s.ranges()[x] == Range(0.0, 0.0)
    model = evaluate(s)
    assert model.params[x].scale[0] * 255 >= MIN_RANGE * 0.99


def test_ranges_of_nothing() -> None:
    s = everything()
    for width in (0.0, 1e-30, 1e-6):
        evaluate(s, dict.fromkeys(s.tensors, Range(0.0, width)))
        evaluate(s, dict.fromkeys(s.tensors, Range(-width, 0.0)))


def test_operands_that_cancel_each_other() -> None:
    s = FloatSketch(SHAPE)
    x = s.conv("x", 4)
    a, b = s.conv(x, 4), s.conv(x, 4)
    total = s.add(a, b)
    head(s, total)
    ranges = s.ranges() | {a: Range(-100.0, 100.0), b: Range(-100.0, 100.0), total: Range(0.0, MIN_RANGE)}
    evaluate(s, ranges)


def test_operands_of_very_different_size() -> None:
    for small in (1e-6, 1e-3, 0.03):
        for swapped in (False, True):
            s = FloatSketch(SHAPE)
            x = s.conv("x", 4)
            a, b = s.conv(x, 4), s.conv(x, 4)
            s.conv(a, 4)
            total = s.add(b, a) if swapped else s.add(a, b)
            head(s, total)
            ranges = s.ranges() | {a: Range(-small, small), b: Range(-9.0, 9.0), total: Range(-9.0, 9.0)}
            model = evaluate(s, ranges)
            assert model.params[b].scale[0] * 255 == pytest.approx(18, rel=0.006)
            assert model.params[total].scale[0] * 255 == pytest.approx(18, rel=0.006)


def test_huge_weights_and_biases() -> None:
    s = FloatSketch(SHAPE)
    x = s.conv("x", 8, clamp=RELU6)
    s.constants[s.nodes[-1].inputs[2]][:] = [-1e9, 1e9, 1e4, -1e4, 0, 1, 30, 1e30]
    s.constants[s.nodes[-1].inputs[1]][6] *= 1e-12
    head(s, x)
    model, pixels = evaluate(s), s.pixels(4)
    expected = FloatReference(s.float_model().graph).run_all(HALF(pixels))[x]
    got = model.params[x].dequantize(Reference(model).run_all(stored_pixels(pixels))[x])
    for channel in (0, 1, 2, 3, 7):  # saturated, as they should be
        np.testing.assert_allclose(got[:, channel], expected[:, channel], rtol=0.006)


def test_one_class() -> None:
    s = FloatSketch(SHAPE)
    head(s, s.conv("x", 4, 3, padding=SAME, clamp=RELU6), 1)
    assert evaluate(s).params["layer.3"].scale.shape == (1,)


def test_a_large_mean_does_not_saturate() -> None:
    s = FloatSketch((3, 120, 110))
    x = s.conv("x", 4, clamp=RELU6)
    mean = s.mean(x)
    s.conv(mean, 4)
    ranges = s.ranges() | {mean: Range(0.0, 6.0), x: Range(0.0, 6.0)}
    model = quantize(s.float_model(), ranges)
    assert model.ratios[s.nodes[1].name].denominator[0] > MAX_DENOMINATOR
    assert model.params[mean].scale[0] * 255 == pytest.approx(6, rel=0.006)


spans = st.tuples(st.floats(-12, 9), st.floats(-12, 9), st.sampled_from(["both", "positive", "negative"]))
TENSORS = len(everything().tensors)


@settings(deadline=None, max_examples=30, derandomize=True, phases=[Phase.generate])
@given(st.lists(spans, min_size=TENSORS, max_size=TENSORS))
def test_any_ranges_make_a_model(drawn: list[tuple[float, float, str]]) -> None:
    """From 2**-12 to 2**9, each independent of the others, which no network is."""
    s = everything()
    ranges = {}
    for name, (low, high, signs) in zip(s.tensors, drawn, strict=True):
        ranges[name] = Range(-(2.0**low) * (signs != "positive"), 2.0**high * (signs != "negative"))
    check(quantize(s.float_model(), ranges), s.float_model())


# --- what users are told --------------------------------------------------------------------------------------------


def test_missing_ranges_are_named() -> None:
    s = everything()
    ranges = s.ranges()
    del ranges["layer.3"], ranges["layer.5"]
    with pytest.raises(DataError, match=r"no range for layer\.3, layer\.5: calibrate"):
        quantize(s.float_model(), ranges)
    with pytest.raises(DataError, match="no range for x: calibrate"):
        quantize(s.float_model(), {n: r for n, r in s.ranges().items() if n != "x"}, Options(pixel_input=False))


def test_an_operator_without_an_integer_form() -> None:
    s = FloatSketch(SHAPE)
    s.conv(s.hard_swish(s.conv("x", 4)), 4)
    with pytest.raises(UnsupportedOperator, match=r"layer 'layer\.1' \(HardSwish\) has no integer form"):
        quantize(s.float_model(), s.ranges())


def test_operands_with_unrelated_scales() -> None:
    """Both come out of a MUL, whose scales are fixed: one of them is rescaled."""
    s = FloatSketch(SHAPE)
    total = s.add(s.mul(s.conv("x", 4), s.conv("x", 4)), s.mul(s.conv("x", 4), s.conv("x", 4)))
    s.linear(s.mean(total, keep_dims=False), 4)
    model = quantize(s.float_model(), s.ranges(), Options(pixel_input=False))
    check(model, s.float_model())
    assert [node.name for node in model.graph if node.name not in s.tensors] == ["layer.5.rescaled"]
    (one,) = (node for node in model.graph if node.name == "layer.5.rescaled")
    assert model.graph.constants[one.inputs[1]].tolist() == [1]
    assert model.params[one.inputs[1]].scale[0] == pytest.approx(1, rel=1.01e-3)
    assert broken_conditions(model) == ()
    assert model.exact


def test_joined_tensors_have_one_scale() -> None:
    """But for those whose clamps would be lost in it: they are rescaled."""
    s = FloatSketch(SHAPE)
    six, free, relu = s.conv("x", 4, clamp=RELU6), s.conv("x", 4), s.conv("x", 4, clamp=RELU)
    clamped = s.concat(six, s.conv("x", 4, clamp=RELU6))
    joined = s.concat(free, relu)
    s.linear(s.mean(s.add(s.conv(clamped, 4), s.conv(joined, 4)), keep_dims=False), 4)
    ranges = s.ranges() | {six: Range(0.0, 6.0), relu: Range(0.0, 9.0), free: Range(-2.0, 4.0)}
    model = quantize(s.float_model(), ranges, Options(pixel_input=False))
    assert {node.name: node.inputs[0] for node in model.graph if node.name not in s.tensors} == {
        f"{relu}.rescaled": relu
    }
    for node in (node for node in model.graph if isinstance(node.op, Concat)):
        params = [model.params[name] for name in (*node.inputs, node.output)]
        assert len({(float(one.scale[0]), one.zero_point) for one in params}) == 1
    for name, low, high in ((six, 0, 6), (relu, 0, 9), (joined, -2, 9)):
        ends = model.params[name].dequantize(np.array([-128, 127], np.int8))
        np.testing.assert_allclose(ends, [low, high], atol=0.6 * float(model.params[name].scale[0]))
    assert broken_conditions(model) == ()
    assert model.exact


@pytest.mark.parametrize(
    "made",
    [
        lambda s, x, y: s.mul(x, y),
        lambda s, x, y: s.mul(y, x),
        lambda s, x, y: s.add(x, y),
        lambda s, x, y: s.add(y, x),
        lambda s, x, _: s.add_constant(x, 0.7),
        lambda s, x, _: s.resize(s.mean(x), SHAPE[1:], NEAREST),
    ],
)
def test_a_result_that_is_joined_with_its_operand(made: Callable[[FloatSketch, str, str], str]) -> None:
    """The ratio is that of two scales of which moving one would move the other, so the result is rescaled."""
    s = FloatSketch(SHAPE)
    x, y = s.conv("x", SHAPE[0]), s.conv("x", SHAPE[0])
    result = made(s, x, y)
    s.concat(result, x)
    model = quantize(s.float_model(), s.ranges(), Options(pixel_input=False))
    (rescaled,) = (node for node in model.graph if node.name not in s.tensors)
    assert rescaled.inputs[0] in {result, s.nodes[2].output}  # the mean, before it is resized
    assert broken_conditions(model) == ()
    check(model, s.float_model())


def test_a_grid_that_is_fixed() -> None:
    """It stays, also where the result is joined with others: it is rescaled for them."""
    s = FloatSketch(SHAPE)
    x = s.conv("x", 4)
    sure = s.sigmoid(x)
    joined = s.concat(x, sure)
    ranges = dict.fromkeys(s.tensors, Range(-1.0, 1.0))
    model = quantize(s.float_model(), ranges, Options(pixel_input=False))
    assert (model.params[sure].scale[0], model.params[sure].zero_point) == (1 / 256, -128)
    (rescaled,) = (node for node in model.graph if node.name not in s.tensors)
    assert rescaled.inputs[0] == sure
    assert model.params[rescaled.output].scale == model.params[x].scale == model.params[joined].scale
    assert model.exact
    assert broken_conditions(model) == ()


@pytest.mark.parametrize("zero_point", [-128, 0, 3])
@pytest.mark.parametrize("steps", [1, 2, 3, 5, 8, 21])
def test_no_entry_of_a_sigmoid_is_next_to_a_tie(steps: int, zero_point: int) -> None:
    """With scales of n / 128, every odd number of steps from the middle is as near to a tie as it gets."""
    s = FloatSketch(SHAPE)
    sure = s.sigmoid(x := s.conv("x", 4))
    wanted = steps / 128
    ranges = {**dict.fromkeys(s.tensors, Range(-1.0, 1.0))}
    ranges[x] = Range(wanted * (-128 - zero_point), wanted * (127 - zero_point))
    model = quantize(s.float_model(), ranges, Options(pixel_input=False))
    read, made = model.params[x], model.params[sure]
    assert read.zero_point == zero_point
    assert abs(read.scale[0] / wanted - 1) <= SCALE_TOLERANCE * 1.001
    steps_of_result = [256 / (1 + math.exp(-float(read.scale[0]) * (n - zero_point))) for n in range(-128, 128)]
    away = [abs(value % 1 - 0.5) for value in steps_of_result if value < 255]
    assert min(away) >= curves.MARGIN
    producer = model.graph.producer(sure)
    assert producer is not None
    assert math.isclose(curves.distance(producer, read, made), min(away), abs_tol=1e-9)
    assert model.exact


def test_a_sigmoid_of_what_is_fixed() -> None:
    """The sum's scale cannot be moved, so it is multiplied by 1 where its own does not serve; that is known of it."""
    rescaled = 0
    for seed in range(40):
        s = FloatSketch(SHAPE, seed)
        sure = s.sigmoid(total := s.add("x", s.conv("x", 3)))
        model = s.integer_model()
        assert model.exact
        assert broken_conditions(model) == ()
        node = model.graph.producer(sure)
        assert node is not None
        rescaled += node.inputs[0] != total
    assert 0 < rescaled < 40


def test_weights_beyond_all_measure() -> None:
    s = FloatSketch(SHAPE)
    head(s, s.conv("x", 4, clamp=RELU6))
    s.constants[s.nodes[0].inputs[1]][:] *= 1e9
    with pytest.raises(UnsupportedOperator, match=r"layer 'layer\.0' has inputs or weights far too large"):
        quantize(s.float_model(), s.ranges())


def test_arrays_are_stored_so_that_they_fit_best() -> None:
    """What averages at a border are corrected by is exact; a number is stored as 1 or -1."""
    s = FloatSketch((3, 6, 6))
    line = np.where(np.isin(np.arange(6), (0, 5)), 1.5, 1.0)
    corrections = (line[:, None] * line)[None].astype(np.float32)
    x = s.mul(s.conv("x", 2), s.constant("constant", corrections))
    s.linear(s.mean(s.add(s.times(x, -3.0), s.times(s.conv("x", 2), 0.0)), keep_dims=False), 4)
    model = quantize(s.float_model(), s.ranges(), Options(pixel_input=False))
    arrays = {
        node.output: (model.graph.constants[node.inputs[1]], model.params[node.inputs[1]].scale[0])
        for node in model.graph
        if node.inputs[1:] and node.inputs[1].endswith("constant")
    }
    stored, scale = arrays[x]
    np.testing.assert_allclose(stored * scale, corrections, rtol=1.1e-3)
    assert sorted(stored.tolist() for stored, _ in arrays.values() if stored.size == 1) == [[-1], [0]]
    assert broken_conditions(model) == ()
