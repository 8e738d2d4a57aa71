"""Causes: a fault is planted in one layer, the exact reference computes what comes of it, and it has to be named."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.calibration.assignment import quantize
from edgekit.calibration.options import Options
from edgekit.calibration.ranges import Range
from edgekit.float_model import FloatModel
from edgekit.ir import Add, Clamp, Conv2d, Graph, Mul, Node, Output, Padding, Tensor
from edgekit.preprocessing import Preprocessing
from edgekit.reference import float as float_reference
from edgekit.reference.integer import Reference
from edgekit.verification.cases import Case, Cause, FloatLayer, IntegerLayer, Variant, at_border_only
from edgekit.verification.causes import explain

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edgekit.integer_model import IntegerModel

    Fault = Callable[[IntegerModel, Node], tuple[IntegerModel, Node]]

RANDOM = np.random.default_rng(0)
NODES = (
    Node("stem", Conv2d((2, 2), Padding(0, 1, 0, 1)), ("x", "w0", "b0"), "stem", Clamp(0.0, 6.0)),
    Node("depthwise", Conv2d((1, 1), Padding(2, 2, 2, 2), 8), ("stem", "w1", "b1"), "depthwise"),
    Node("pointwise", Conv2d(), ("depthwise", "w2", "b2"), "pointwise"),
    Node("sum", Add(), ("depthwise", "pointwise"), "sum"),
    Node("product", Mul(), ("sum", "pointwise"), "product"),
)
SHAPES = dict.fromkeys(("stem", "depthwise", "pointwise", "sum", "product"), (8, 10, 10))
WEIGHTS = {"w0": (8, 3, 3, 3), "w1": (8, 1, 5, 5), "w2": (8, 8, 1, 1)}


def float_model() -> FloatModel:
    constants = {
        name: RANDOM.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32)
        for name, shape in WEIGHTS.items()
    }
    constants |= {f"b{i}": RANDOM.normal(0, 0.3, 8).astype(np.float32) for i in range(3)}
    tensors = {name: Tensor(name, shape) for name, shape in {"x": (3, 20, 20), **SHAPES}.items()}
    graph = Graph("tiny", "x", (Output.logits("product"),), NODES, tensors, constants)
    return FloatModel(graph, Preprocessing((20, 20), None))


FLOATS = float_model()
MODEL = quantize(FLOATS, {**dict.fromkeys(SHAPES, Range(-2.0, 2.5)), "x": Range(-1.0, 1.0)}, Options(pixel_input=False))
STORED = Reference(MODEL).run_all(RANDOM.integers(-128, 128, (2, 3, 20, 20)).astype(np.int8))


def node(name: str) -> Node:
    return next(n for n in MODEL.graph if n.name == name)


def inputs(of: Node) -> dict[str, NDArray[Any]]:
    return {name: STORED[name] for name in MODEL.graph.activations(of)}


def explained(name: str, found: NDArray[Any]) -> tuple[Cause, str]:
    layer = IntegerLayer(MODEL, node(name), inputs(node(name)))
    zero_point = MODEL.params[layer.node.output].zero_point
    found_out = explain(Case(found, layer.compute(Variant()), layer, zero_point, 0.0, layer.limits))
    return found_out.cause, found_out.explanation


def with_params(tensor: str, **changes: Any) -> Fault:
    def fault(model: IntegerModel, n: Node) -> tuple[IntegerModel, Node]:
        return replace(model, params={**model.params, tensor: replace(model.params[tensor], **changes)}), n

    return fault


def with_constant(name: str, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Fault:
    def fault(model: IntegerModel, n: Node) -> tuple[IntegerModel, Node]:
        changed = change(model.graph.constants[name].copy())
        return replace(model, graph=replace(model.graph, constants={**model.graph.constants, name: changed})), n

    return fault


def with_padding(padding: Padding) -> Fault:
    def fault(model: IntegerModel, n: Node) -> tuple[IntegerModel, Node]:
        assert isinstance(n.op, Conv2d)
        return model, replace(n, op=replace(n.op, padding=padding))

    return fault


def with_ratio(name: str, factors: NDArray[np.floating]) -> Fault:
    """The ratios of a node times some factors, to a millionth."""

    def fault(model: IntegerModel, n: Node) -> tuple[IntegerModel, Node]:
        ratio = model.ratios[name]
        numerator = np.rint(ratio.numerator * factors * 999_999).astype(np.int64)
        other = replace(ratio, numerator=numerator, denominator=ratio.denominator * 999_999)
        return replace(model, ratios={**model.ratios, name: other}), n

    return fault


def exchanged(array: NDArray[Any]) -> NDArray[Any]:
    array[[2, 5]] = array[[5, 2]]
    return array


def moved(array: NDArray[Any]) -> NDArray[Any]:
    array[3] += 4000
    return array


def shuffled(array: NDArray[Any]) -> NDArray[Any]:
    array[4] = array[4, ::-1]
    return array


def one(channel: int, factor: float) -> NDArray[np.float64]:
    factors = np.ones(8)
    factors[channel] = factor
    return factors


ZERO_POINT = MODEL.params["depthwise"].zero_point
FAULTS: dict[str, tuple[str, Fault, Cause, str]] = {
    "padding on the other side": ("stem", with_padding(Padding(1, 0, 1, 0)), Cause.PADDING, r"\(1, 0, 1, 0\)"),
    "padding moved": ("depthwise", with_padding(Padding(1, 3, 1, 3)), Cause.PADDING, r"\(1, 3, 1, 3\)"),
    "rows for columns": (
        "depthwise", with_constant("w1", lambda w: w.swapaxes(2, 3).copy()), Cause.LAYOUT, "rows are columns"
    ),
    "turned around": ("depthwise", with_constant("w1", lambda w: w[:, :, ::-1, ::-1]), Cause.LAYOUT, "turned around"),
    "input for output": (
        "pointwise", with_constant("w2", lambda w: w.swapaxes(0, 1).copy()), Cause.LAYOUT, "input and output"
    ),
    "read as another layout": (
        "stem", with_constant("w0", lambda w: w.reshape(8, 3, 3, 3).transpose(0, 3, 1, 2)), Cause.LAYOUT, "read as"
    ),
    "weights exchanged": ("pointwise", with_constant("w2", exchanged), Cause.CHANNEL_ORDER, "2 and 5 are exchanged"),
    "weights in reverse": ("pointwise", with_constant("w2", lambda w: w[::-1]), Cause.CHANNEL_ORDER, "reverse order"),
    "BGR": ("stem", with_constant("w0", lambda w: w[:, ::-1]), Cause.CHANNEL_ORDER, "BGR for RGB"),
    "no bias": ("pointwise", with_constant("b2", np.zeros_like), Cause.BIAS, "not added"),
    "one bias": ("pointwise", with_constant("b2", moved), Cause.BIAS, r"1 of 8 channels \(3\) are off by"),
    "one channel": ("pointwise", with_constant("w2", shuffled), Cause.UNKNOWN, r"only 1 of 8 channels \(4\)"),
    "output zero point": (
        "stem", with_params("stem", zero_point=MODEL.params["stem"].zero_point + 1), Cause.ZERO_POINT, r"off by \+1 LSB"
    ),
    "input zero point": (
        "pointwise", with_params("depthwise", zero_point=ZERO_POINT + 1), Cause.ZERO_POINT,
        f"reads depthwise with the zero point {ZERO_POINT + 1} instead of {ZERO_POINT}",
    ),
    "scale": ("product", with_ratio("product", np.full(1, 1.05)), Cause.SCALE, "every value is 1.05 times"),
    "weight scale of one channel": (
        "pointwise", with_ratio("pointwise", one(6, 1.25)), Cause.SCALE, r"1 of 8 channels \(6\) are 1.25 times"
    ),
    "scale of an operand": (
        "sum", with_ratio("sum", np.array([1.0, 0.8])), Cause.SCALE, "pointwise counts 0.8 times as much"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_named(name: str) -> None:
    layer, fault, cause, words = FAULTS[name]
    model, faulty = fault(MODEL, node(layer))
    found = Reference(model).compute(faulty, [{**STORED, **model.graph.constants}[i] for i in faulty.inputs])
    assert not np.array_equal(found, STORED[faulty.output]), "the fault does something"
    seen, explanation = explained(layer, found)
    assert seen is cause
    assert re.search(words, explanation), explanation


def test_rounding_next_to_ties() -> None:
    exact = IntegerLayer(MODEL, node("pointwise"), inputs(node("pointwise"))).compute(Variant())
    less_precise = np.clip(np.rint(exact + 0.004), -128, 127).astype(np.int8)
    assert (less_precise != STORED["pointwise"]).any()
    assert explained("pointwise", less_precise)[0] is Cause.ROUNDING
    rounded_down = np.clip(np.floor(exact), -128, 127).astype(np.int8)
    cause, explanation = explained("pointwise", rounded_down)
    assert (cause, explanation) == (Cause.ROUNDING, "every value is rounded down instead of to the nearest integer")


NAMED: dict[str, set[Cause]] = {
    "scale": {Cause.SCALE},
    "scale of an operand": {Cause.SCALE},
    "scales of channels": {Cause.SCALE},
    "bias": {Cause.BIAS},
    "weights": set(),
    "offset": {Cause.ZERO_POINT},
    "saturating sums": set(),
    "noise": {Cause.ROUNDING},
    "two faults": set(),
    "limits": {Cause.CLAMP},
}


def planted(kind: str, random: np.random.Generator) -> tuple[str, NDArray[Any]]:  # noqa: C901 - a table
    """A layer, and what it gives with a random fault of a kind."""
    name = str(random.choice(["stem", "depthwise", "pointwise", "sum", "product"]))
    layered = kind in {"bias", "weights", "scales of channels", "saturating sums", "two faults"}
    name = str(random.choice(["stem", "depthwise", "pointwise"])) if layered else name
    name = "sum" if kind == "scale of an operand" else name
    n = node(name)
    params, constants = (
        MODEL.params[name],
        [MODEL.graph.constants[i].copy() for i in n.inputs[1:] if i in MODEL.graph.constants],
    )
    layer = IntegerLayer(MODEL, n, inputs(n))
    exact, zero = layer.compute(Variant()), params.zero_point
    channels = random.choice(8, int(random.integers(1, 8)), replace=False)
    amount = float(random.choice([-1, 1]) * np.exp(random.uniform(np.log(0.0005), np.log(0.5))))
    match kind:
        case "scale":
            exact = (exact - zero) * (1 + amount) + zero
        case "scale of an operand":
            a, b = (STORED[i] - float(MODEL.params[i].zero_point) for i in n.inputs)
            p, q = MODEL.ratios[name].value
            exact = a * p * (1 + amount) + b * q + zero
        case "scales of channels":
            exact[:, channels] = (exact[:, channels] - zero) * (1 + amount) + zero
        case "bias":
            exact[:, channels] += 20 * amount
        case "weights" | "two faults":
            for _ in range(int(random.integers(1, 6))):
                constants[0].reshape(-1)[random.integers(constants[0].size)] ^= np.int8(random.integers(1, 64))
            exact = layer.compute(Variant(constants={n.inputs[1]: constants[0]}))
            exact = (exact - zero) * (1 + amount) + zero if kind == "two faults" else exact
        case "offset":
            exact = np.rint(exact) + random.choice([-3, -1, 1, 2, 5])
        case "saturating sums":
            high = np.quantile(exact, 0.8)
            exact = np.where(exact > high, high + (exact - high) * random.uniform(0, 0.8), exact)
        case "noise":
            exact = exact + random.uniform(-0.01, 0.01, exact.shape)
        case "limits":
            exact = np.clip(exact, *sorted(random.uniform(-128, 127, 2).round()))
    return name, np.clip(np.rint(exact), -128, 127).astype(np.int8)


@pytest.mark.parametrize("kind", NAMED)
def test_a_random_fault_is_named_or_nothing_is_claimed(kind: str) -> None:
    """However small or large: a cause that is named is the right one."""
    random, named = np.random.default_rng(7), 0
    for _ in range(40):
        name, found = planted(kind, random)
        if np.array_equal(found, STORED[name]):
            continue
        cause, explanation = explained(name, found)
        assert cause in NAMED[kind] | {Cause.UNKNOWN, Cause.ROUNDING}, explanation
        assert " 1 times" not in explanation
        named += cause is not Cause.UNKNOWN
    assert named >= 10 or not NAMED[kind]


@pytest.mark.parametrize(
    ("way", "cause"),
    [
        (lambda x: x[:, [0, 1, 4, 3, 2, 5, 6, 7]], Cause.CHANNEL_ORDER),
        (lambda x: x.swapaxes(2, 3), Cause.LAYOUT),
        (lambda x: x[:, :, ::-1], Cause.LAYOUT),
        (lambda x: x[..., ::-1], Cause.LAYOUT),
        (lambda x: np.maximum(x, 0), Cause.CLAMP),
        (lambda x: RANDOM.permutation(x.ravel()).reshape(x.shape), Cause.UNKNOWN),
    ],
    ids=["channels", "transposed", "upside down", "mirrored", "clamp", "anything"],
)
def test_what_the_values_themselves_say(way: Callable[[Any], Any], cause: Cause) -> None:
    assert explained("product", way(STORED["product"]))[0] is cause


def test_padding_with_another_value_shows_at_the_border() -> None:
    n = node("depthwise")
    padded = np.pad(STORED["stem"], ((0, 0), (0, 0), (2, 2), (2, 2)), constant_values=5)
    found = Reference(MODEL).compute(
        replace(n, op=Conv2d(groups=8)), [padded, *(MODEL.graph.constants[name] for name in n.inputs[1:])]
    )
    cause, explanation = explained("depthwise", found)
    assert cause is Cause.PADDING
    assert explanation == f"it pads with 5 instead of {MODEL.params['stem'].zero_point}"
    differs = found != STORED["depthwise"]
    assert at_border_only(differs, n, MODEL.graph)
    differs[0, 0, 5, 5] = True
    assert not at_border_only(differs, n, MODEL.graph)
    assert not at_border_only(differs, node("product"), MODEL.graph)


@pytest.mark.parametrize(
    ("variant", "cause"),
    [
        (Variant(), Cause.CLAMP),
        (Variant(op=Conv2d((2, 2), Padding(1, 0, 1, 0))), Cause.PADDING),
        (Variant(constants={"w0": FLOATS.graph.constants["w0"][:, ::-1]}), Cause.CHANNEL_ORDER),
        (Variant(constants={"b0": FLOATS.graph.constants["b0"] + 0.1}), Cause.BIAS),
        (Variant(constants={"w0": FLOATS.graph.constants["w0"] * 1.01}), Cause.SCALE),
    ],
    ids=lambda value: value if isinstance(value, Cause) else "",
)
def test_floats(variant: Variant, cause: Cause) -> None:
    """Behind a clamp, and with what float32 kernels add to it."""
    x = RANDOM.uniform(-3, 3, (2, 3, 20, 20))
    stem = FLOATS.graph.nodes[0]
    layer = FloatLayer(FLOATS.graph, stem, {"x": x})
    exact = layer.compute(Variant())
    constants = {name: array.astype(np.float64) for name, array in FLOATS.graph.constants.items()}
    expected = float_reference.compute(stem, [x, constants["w0"], constants["b0"]])
    np.testing.assert_array_equal(np.clip(exact, *layer.limits), expected)
    found = layer.compute(variant) * (1 + RANDOM.normal(0, 1e-7, exact.shape))
    found = found if cause is Cause.CLAMP else np.clip(found, 0.0, 6.0)
    assert explain(Case(found, exact, layer, None, 1e-4, layer.limits)).cause is cause


def test_a_layer_with_factors_is_computed_without_them() -> None:
    tensors = {
        **FLOATS.graph.tensors,
        "x": Tensor("x", (3, 20, 20), (1.0, 2.0, 4.0)),
        "stem": Tensor("stem", (8, 10, 10), 6.0),
    }
    graph, stem = replace(FLOATS.graph, tensors=tensors), FLOATS.graph.nodes[0]
    x = RANDOM.uniform(-1, 1, (1, 3, 20, 20))
    carrying = x * np.reshape((1.0, 2.0, 4.0), (3, 1, 1))
    expected = float_reference.compute(stem, [carrying, *(graph.constants[n].astype(float) for n in ("w0", "b0"))]) / 6
    layer = FloatLayer(graph, stem, {"x": x})
    np.testing.assert_allclose(np.clip(layer.compute(Variant()), *layer.limits), expected)


def test_infinities_are_differences() -> None:
    found = STORED["product"].astype(np.float64)
    found[0, 3] = np.nan
    with np.errstate(invalid="ignore"):
        explanation = explain(Case(found, STORED["product"].astype(np.float64), None, None, 1e-4, (-np.inf, np.inf)))
    assert explanation.cause is Cause.UNKNOWN
