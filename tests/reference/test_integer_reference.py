"""The integer reference against Python's own integers and fractions, one operator at a time."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.errors import UnsupportedOperator
from edgekit.integer_model import IntegerModel
from edgekit.ir import (
    Add,
    Clamp,
    Conv2d,
    Dequantize,
    Graph,
    HardSwish,
    Linear,
    MaxPool2d,
    Mean,
    Mul,
    Node,
    Op,
    Output,
    Pad,
    Padding,
    Quantize,
    Rearrange,
    Tensor,
)
from edgekit.preprocessing import Preprocessing
from edgekit.quantization import BIAS_LIMIT, QuantParams, Ratio
from edgekit.reference.integer import Reference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

ZERO_IN, ZERO_B, ZERO_OUT = -7, 19, -31


def one_node(
    op: Op, shape: tuple[int, ...], out: tuple[int, ...], ratio: Ratio | None, **constants: Any
) -> IntegerModel:
    """A network of one operator that reads the input "x" and what else is given."""
    nodes = [Node("node", op, ("x", *constants), "y")]
    params = {"x": ZERO_IN, "y": ZERO_OUT, "constant": ZERO_B}
    return model(nodes, {"x": shape, "y": out}, constants, params, {} if ratio is None else {"node": ratio})


def model(
    nodes: list[Node],
    shapes: Mapping[str, tuple[int, ...]],
    constants: dict[str, NDArray[Any]],
    zero_points: dict[str, int],
    ratios: dict[str, Ratio],
) -> IntegerModel:
    tensors = {name: Tensor(name, shape) for name, shape in shapes.items()}
    graph = Graph("tiny", "x", (Output.logits(nodes[-1].output),), tuple(nodes), tensors, constants)
    params = {name: QuantParams(np.ones(1, np.float32), zero) for name, zero in zero_points.items()}
    preprocessing = Preprocessing((1, 1), None)
    return IntegerModel(graph, params, ratios, preprocessing, preprocessing.normalization, pixel_input=False)


def stored(*shape: int) -> NDArray[np.int8]:
    """Random int8, the extremes among them."""
    values = np.random.default_rng(shape).integers(-128, 128, shape).astype(np.int8)
    values.reshape(-1)[:2] = -128, 127
    return values


def requantized(accumulator: int, ratio: Fraction, zero_point: int = ZERO_OUT) -> int:
    value = accumulator * ratio
    assert (2 * value).denominator != 1 or value.denominator == 1, "a tie"
    return min(max(math.floor(value + Fraction(1, 2)) + zero_point, -128), 127)


CONVOLUTIONS = {
    "1x1": (Conv2d(), (5, 4, 3), (7, 5, 1, 1)),
    "3x3": (Conv2d(padding=Padding(1, 1, 1, 1)), (3, 5, 4), (4, 3, 3, 3)),
    "3x3 stride 2 same": (Conv2d((2, 2), Padding(0, 1, 0, 1)), (3, 6, 4), (4, 3, 3, 3)),
    "1x1 stride 2": (Conv2d((2, 2)), (3, 5, 4), (2, 3, 1, 1)),
    "uneven": (Conv2d((1, 2), Padding(2, 0, 1, 3)), (2, 4, 6), (3, 2, 3, 2)),
    "depthwise": (Conv2d(padding=Padding(1, 1, 1, 1), groups=6), (6, 4, 5), (6, 1, 3, 3)),
    "groups": (Conv2d(padding=Padding(1, 0, 1, 0), groups=2), (6, 4, 5), (4, 3, 2, 3)),
    "two outputs a channel": (Conv2d((2, 1), groups=3), (3, 6, 5), (6, 1, 3, 2)),
    "depthwise 5x5 stride 2": (Conv2d((2, 2), Padding(1, 2, 1, 2), groups=4), (4, 6, 6), (4, 1, 5, 5)),
}


@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_conv2d(kind: str) -> None:
    op, shape, kernel = CONVOLUTIONS[kind]
    weight = np.maximum(stored(*kernel), -127)
    bias = 1100 * np.arange(kernel[0], dtype=np.int32) - 3000
    ratios = Ratio.of(*((20 + 3 * o, 4095 - 2 * o) for o in range(kernel[0])))
    x = stored(2, *shape)
    p = op.padding
    height = (shape[1] + p.top + p.bottom - kernel[2]) // op.stride[0] + 1
    width = (shape[2] + p.left + p.right - kernel[3]) // op.stride[1] + 1
    expected = np.empty((2, kernel[0], height, width), np.int8)
    for n, o, i, j in np.ndindex(expected.shape):
        total = int(bias[o])
        for c, dy, dx in itertools.product(*(range(size) for size in kernel[1:])):
            row, column = i * op.stride[0] + dy - p.top, j * op.stride[1] + dx - p.left
            if 0 <= row < shape[1] and 0 <= column < shape[2]:
                channel = o * op.groups // kernel[0] * kernel[1] + c
                total += (int(x[n, channel, row, column]) - ZERO_IN) * int(weight[o, c, dy, dx])
        expected[n, o, i, j] = requantized(total, ratios.fraction(o))
    net = one_node(op, shape, (kernel[0], height, width), ratios, weight=weight, bias=bias)
    check(net, x, expected)
    assert len(np.unique(expected)) > 10


@pytest.mark.parametrize("summands", [10, 519, 2000])
def test_linear(summands: int) -> None:
    """Also with sums that float32 does not hold."""
    weight, bias = np.maximum(stored(3, summands), -127), np.array([BIAS_LIMIT, -BIAS_LIMIT, 77], np.int32)
    weight[2] = 127
    ratios = Ratio.of((1, 4095), (2, 4093), (1, 4095))
    x = stored(4, summands)
    x[0], x[1] = 127, -128
    expected = np.empty((4, 3), np.int8)
    for n, o in np.ndindex(expected.shape):
        total = int(bias[o]) + sum((int(v) - ZERO_IN) * int(w) for v, w in zip(x[n], weight[o], strict=True))
        expected[n, o] = requantized(total, ratios.fraction(o))
    check(one_node(Linear(), (summands,), (3,), ratios, weight=weight, bias=bias), x, expected)


def test_large_accumulators_are_exact() -> None:
    """Sums of more than 2**24 that differ by one give different results where the ratio lets them."""
    weight = np.full((1, 4000), 127, np.int8)
    weight[0, 0] = 1
    x = np.full((9, 4000), 127, np.int8)
    x[:, 0] = np.arange(9)
    total = [sum((int(v) - ZERO_IN) * int(w) for v, w in zip(row, weight[0], strict=True)) for row in x]
    assert min(total) > 2**24
    bias = np.array([-total[4]], np.int32)
    expected = np.array([[requantized(t - total[4], Fraction(1))] for t in total], np.int8)
    check(one_node(Linear(), (4000,), (1,), Ratio.of((1, 1)), weight=weight, bias=bias), x, expected)
    assert len(np.unique(expected)) == 9


def test_add() -> None:
    x, b = (grid.astype(np.int8)[None, None] for grid in np.meshgrid(np.arange(-128, 128, 5), np.arange(-128, 128, 3)))
    ratio = Ratio.of((311, 1021), (507, 1021))
    net = one_node(Add(), x.shape[1:], x.shape[1:], ratio, constant=b)
    expected = [
        requantized(1, (int(i) - ZERO_IN) * ratio.fraction(0) + (int(j) - ZERO_B) * ratio.fraction(1))
        for i, j in zip(x.reshape(-1), b.reshape(-1), strict=True)
    ]
    check(net, x, np.array(expected, np.int8).reshape(x.shape))


def test_add_of_one_number() -> None:
    x, ratio = stored(2, 3, 4, 5), Ratio.of((7, 9), (5, 9))
    net = one_node(Add(), (3, 4, 5), (3, 4, 5), ratio, constant=np.array([127], np.int8))
    expected = [requantized((int(v) - ZERO_IN) * 7 + (127 - ZERO_B) * 5, Fraction(1, 9)) for v in x.reshape(-1)]
    check(net, x, np.array(expected, np.int8).reshape(x.shape))


def test_mul_of_two_tensors_and_of_a_gate() -> None:
    """x times the mean of its channel."""
    x = stored(2, 3, 4, 5)
    mean, product = Ratio.of((5, 61)), Ratio.of((3, 407))
    net = model(
        [Node("pool", Mean(), ("x",), "gate"), Node("node", Mul(), ("x", "gate"), "y")],
        {"x": (3, 4, 5), "gate": (3, 1, 1), "y": (3, 4, 5)},
        {},
        {"x": ZERO_IN, "gate": ZERO_B, "y": ZERO_OUT},
        {"pool": mean, "node": product},
    )
    expected = np.empty(x.shape, np.int8)
    for n, c, i, j in np.ndindex(x.shape):
        gate = requantized(sum(int(v) - ZERO_IN for v in x[n, c].reshape(-1)), mean.fraction(), ZERO_B)
        expected[n, c, i, j] = requantized((int(x[n, c, i, j]) - ZERO_IN) * (gate - ZERO_B), product.fraction())
    check(net, x, expected)


@pytest.mark.parametrize("keep_dims", [True, False])
def test_mean(*, keep_dims: bool) -> None:
    x, ratio = stored(2, 5, 7, 3), Ratio.of((29, 411))
    shape = (5, 1, 1) if keep_dims else (5,)
    totals = [[sum(int(v) - ZERO_IN for v in channel.reshape(-1)) for channel in image] for image in x]
    expected = np.array([[requantized(t, ratio.fraction()) for t in image] for image in totals], np.int8)
    check(one_node(Mean(keep_dims), (5, 7, 3), shape, ratio), x, expected.reshape(2, *shape))


def test_pad() -> None:
    x = stored(2, 3, 2, 4)
    net = one_node(Pad(Padding(1, 0, 2, 3)), (3, 2, 4), (3, 3, 9), None)
    expected = np.full((2, 3, 3, 9), ZERO_OUT)  # real zero is the zero point
    expected[:, :, 1:, 2:6] = x
    check(net, x, expected.astype(np.int8))


def test_max_pool() -> None:
    x = stored(2, 3, 4, 5)
    x[0] = -128
    net = one_node(MaxPool2d((2, 3), (2, 1), Padding(1, 0, 1, 1)), (3, 4, 5), (3, 2, 5), None)
    padded = np.full((2, 3, 5, 7), -128, np.int8)
    padded[:, :, 1:, 1:6] = x
    expected = [[padded[:, :, 2 * i : 2 * i + 2, j : j + 3].max((2, 3)) for j in range(5)] for i in range(2)]
    check(net, x, np.array(expected).transpose(2, 3, 0, 1))


def test_flatten() -> None:
    x = stored(2, 6, 1, 1)
    check(one_node(Rearrange.reshape((6,)), (6, 1, 1), (6,), None), x, x.reshape(2, 6))


def test_layers_in_float() -> None:
    """A clamped convolution of reals between integers: exact fractions, rounded to the nearest, then to int8."""
    x, clamp = stored(2, 3, 2, 2), Clamp(-20.0, 31.5)
    constants = {"weight": np.array([[2.5, -1.0, 0.25], [1.0, 0.0, -4.0]], np.float32).reshape(2, 3, 1, 1)}
    constants["bias"] = np.array([3.0, -0.125], np.float32)
    nodes = [
        Node("in", Dequantize(), ("x",), "real"),
        Node("conv", Conv2d(), ("real", "weight", "bias"), "conv", clamp),
        Node("out", Quantize(), ("conv",), "y"),
        Node("sum", Add(), ("y", "y"), "z"),
    ]
    shapes = {"x": (3, 2, 2), "real": (3, 2, 2), "conv": (2, 2, 2), "y": (2, 2, 2), "z": (2, 2, 2)}
    zero_points = {"x": ZERO_IN, "y": ZERO_B, "z": ZERO_OUT}
    net = model(nodes, shapes, constants, zero_points, {"sum": Ratio.of((1, 3), (1, 3))})
    assert [node.name for node in net.float_nodes] == ["conv"]
    assert not net.exact
    everything = Reference(net).run_all(x)
    assert [everything[name].dtype for name in shapes] == [np.int8, np.float64, np.float64, np.int8, np.int8]
    for n, o, i, j in np.ndindex(2, 2, 2, 2):
        products = (Fraction(float(constants["weight"][o, c, 0, 0])) * (int(x[n, c, i, j]) - ZERO_IN) for c in range(3))
        value = sum(products) + Fraction(float(constants["bias"][o]))
        value = min(max(value, Fraction(clamp.low)), Fraction(clamp.high))
        assert everything["conv"][n, o, i, j] == value
        y = min(max(round(value) + ZERO_B, -128), 127)  # half to even
        assert everything["y"][n, o, i, j] == y
        assert everything["z"][n, o, i, j] == requantized(2 * (y - ZERO_B), Fraction(1, 3))


def check(net: IntegerModel, x: NDArray[np.int8], expected: NDArray[np.int8]) -> None:
    reference = Reference(net)
    got = reference.run(x)["logits"]
    assert got.dtype == np.int8
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(
        np.concatenate([reference.run(x[i : i + 1])["logits"] for i in range(len(x))]), expected
    )


def test_run_all_keeps_what_is_asked_for() -> None:
    x = stored(1, 3, 2, 2)
    pad = Padding(1, 1, 1, 1)
    nodes = [Node("a", Pad(pad), ("x",), "a"), Node("b", Pad(pad), ("a",), "b"), Node("c", Add(), ("b", "b"), "c")]
    shapes = {"x": (3, 2, 2), "a": (3, 4, 4), "b": (3, 6, 6), "c": (3, 6, 6)}
    net = model(nodes, shapes, {}, dict.fromkeys("xabc", 0), {"c": Ratio.of((1, 3), (1, 3))})
    everything = Reference(net).run_all(x)
    assert {name: array.shape[1:] for name, array in everything.items()} == shapes
    assert list(Reference(net).run_all(x, keep=("a",))) == ["a"]
    np.testing.assert_array_equal(Reference(net).run(x)["logits"], everything["c"])


def test_an_operator_without_an_integer_form() -> None:
    net = one_node(HardSwish(), (1, 1, 1), (1, 1, 1), None)
    with pytest.raises(UnsupportedOperator, match="the integer reference has no HardSwish"):
        Reference(net).run(stored(1, 2, 1, 1))
