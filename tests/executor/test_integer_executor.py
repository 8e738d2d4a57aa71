"""The integer executor against the reference: every integer of every tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from edgekit.errors import UnsupportedOperator
from edgekit.executor.integer import IntegerExecutor
from edgekit.integer_model import IntegerModel
from edgekit.ir import (
    Add,
    Clamp,
    Conv2d,
    Dequantize,
    Flatten,
    Graph,
    HardSwish,
    Linear,
    Mean,
    Mul,
    Node,
    Op,
    Pad,
    Padding,
    Quantize,
    Tensor,
)
from edgekit.preprocessing import Preprocessing
from edgekit.quantization import QuantParams, Ratio, odd_fractions
from edgekit.reference.integer import Reference

if TYPE_CHECKING:
    from numpy.typing import NDArray

ZERO_POINTS = {"x": -7, "y": -31}


class Sketch:
    """An integer model in the making, with random weights; every method appends a node and names its output."""

    def __init__(self, shape: tuple[int, ...], seed: int = 0, reach: int = 127) -> None:
        self.random, self.reach = np.random.default_rng(seed), reach
        self.nodes: list[Node] = []
        self.tensors = {"x": Tensor("x", shape)}
        self.constants: dict[str, NDArray[Any]] = {}
        self.params = {"x": self.some_params()}
        self.ratios: dict[str, Ratio] = {}

    def some_params(self) -> QuantParams:
        return QuantParams(np.ones(1, np.float32), int(self.random.integers(-128, 128)))

    def node(self, op: Op, inputs: tuple[str, ...], shape: tuple[int, ...], ratio: Ratio | None) -> str:
        name = f"n.{len(self.nodes)}"
        self.nodes.append(Node(name, op, inputs, name))
        self.tensors[name] = Tensor(name, shape)
        self.params[name] = self.some_params() if ratio else self.params[inputs[0]]
        if ratio:
            self.ratios[name] = ratio
        return name

    def layer(self, op: Op, x: str, weight: tuple[int, ...], shape: tuple[int, ...], bias: int = 3000) -> str:
        names = f"w.{len(self.nodes)}", f"b.{len(self.nodes)}"
        stored = self.random.integers(-self.reach, self.reach + 1, weight).astype(np.int8)
        stored[0], stored[-1] = self.reach, -self.reach
        self.constants |= dict(
            zip(names, (stored, self.random.integers(-bias, bias, weight[0]).astype(np.int32)), strict=True)
        )
        self.params[names[0]] = QuantParams(np.ones(weight[0], np.float32))
        spread = np.sqrt(np.prod(weight[1:])) * 74 * self.reach / 1.7  # of the sums
        return self.node(op, (x, *names), shape, odd_fractions(self.random.uniform(20, 200, weight[0]) / spread))

    def conv(self, x: str, channels: int, kernel: int = 1, stride: int = 1, padding: Padding = Padding()) -> str:  # noqa: B008
        inputs, height, width = self.tensors[x].shape
        rows = (height + padding.top + padding.bottom - kernel) // stride + 1
        columns = (width + padding.left + padding.right - kernel) // stride + 1
        weight, op = (channels, inputs, kernel, kernel), Conv2d((stride, stride), padding)
        return self.layer(op, x, weight, (channels, rows, columns))

    def depthwise(self, x: str, kernel: int, padding: Padding) -> str:
        shape = self.tensors[x].shape
        return self.layer(Conv2d(padding=padding, groups=shape[0]), x, (shape[0], 1, kernel, kernel), shape)

    def linear(self, x: str, features: int, bias: int = 3000) -> str:
        return self.layer(Linear(), x, (features, *self.tensors[x].shape), (features,), bias)

    def add(self, a: str, b: str, terms: tuple[int, int, int] = (511, 777, 1021)) -> str:
        p_a, p_b, q = terms
        return self.node(Add(), (a, b), self.tensors[a].shape, Ratio.of((p_a, q), (p_b, q)))

    def add_constant(self, x: str, stored: int) -> str:
        self.constants["c"], self.params["c"] = np.array([stored], np.int8), QuantParams(np.ones(1, np.float32))
        return self.add(x, "c", (31, 29, 37))

    def mul(self, a: str, b: str) -> str:
        return self.node(Mul(), (a, b), self.tensors[a].shape, odd_fractions(np.array([0.017])))

    def mean(self, x: str, ratio: Ratio | None = None) -> str:
        channels, height, width = self.tensors[x].shape
        ratio = ratio or odd_fractions(np.array([2.3 / (height * width)]))
        return self.node(Mean(), (x,), (channels, 1, 1), ratio)

    def pad(self, x: str, padding: Padding) -> str:
        channels, height, width = self.tensors[x].shape
        shape = (channels, height + padding.top + padding.bottom, width + padding.left + padding.right)
        return self.node(Pad(padding), (x,), shape, None)

    def flatten(self, x: str) -> str:
        return self.node(Flatten(), (x,), self.tensors[x].shape[:1], None)

    def real(self, op: Op, x: str, shape: tuple[int, ...], clamp: Clamp | None = None, *constants: str) -> str:
        """A node that is kept in float."""
        name = f"n.{len(self.nodes)}"
        self.nodes.append(Node(name, op, (x, *constants), name, clamp))
        self.tensors[name] = Tensor(name, shape)
        return name

    def real_conv(self, x: str, channels: int) -> str:
        shape = self.tensors[x].shape
        self.constants |= {
            "real.weight": self.random.normal(0, 0.3, (channels, shape[0], 1, 1)).astype(np.float32),
            "real.bias": self.random.normal(0, 0.3, channels).astype(np.float32),
        }
        return self.real(Conv2d(), x, (channels, *shape[1:]), Clamp(0.0, 9.0), "real.weight", "real.bias")

    def dequantize(self, x: str) -> str:
        self.params[x] = QuantParams(np.array([0.03], np.float32), self.params[x].zero_point)
        return self.real(Dequantize(), x, self.tensors[x].shape)

    def quantize(self, x: str) -> str:
        name = self.real(Quantize(), x, self.tensors[x].shape)
        self.params[name] = QuantParams(np.array([1 / 254], np.float32), -5)
        return name

    def model(self) -> IntegerModel:
        graph = Graph("tiny", "x", (self.nodes[-1].output,), tuple(self.nodes), self.tensors, self.constants)
        preprocessing = Preprocessing((1, 1), None)
        normalization = preprocessing.normalization
        return IntegerModel(graph, self.params, self.ratios, preprocessing, normalization, pixel_input=False)

    def images(self, count: int = 5) -> NDArray[np.int8]:
        """Random inputs, and those that make the largest sums."""
        x = self.random.integers(-128, 128, (count, *self.tensors["x"].shape)).astype(np.int8)
        x[0], x[1] = -128, 127
        x[2] = np.where(x[2] < 0, -128, 127)
        return x


def check(sketch: Sketch) -> IntegerExecutor:
    """Compare everything with the reference; the executor, for a look inside."""
    model, x = sketch.model(), sketch.images()
    expected = Reference(model).run_all(x)
    executor = IntegerExecutor(model)
    seen: dict[str, NDArray[np.int8]] = {}
    output = executor(torch.from_numpy(x), observe=lambda name, value: seen.setdefault(name, value.numpy().copy()))
    assert output.dtype == torch.int8
    assert list(seen) == list(expected)  # the input first, then in order
    for name, array in expected.items():
        assert seen[name].dtype == np.int8
        np.testing.assert_array_equal(seen[name], array, err_msg=name)
    np.testing.assert_array_equal(output.numpy(), expected[model.graph.outputs[0]])
    return executor


def in_float64(executor: IntegerExecutor) -> bool:
    return any(value.dtype == torch.float64 for value in executor.buffers())


SAME = Padding(1, 1, 1, 1)


@pytest.mark.parametrize("seed", range(4))
def test_a_block_with_everything(seed: int) -> None:
    s = Sketch((3, 17, 13), seed)
    x = s.conv("x", 16, 3, 2, Padding(0, 1, 0, 1))
    y = s.mul(x, s.add_constant(x, 127))  # hard-swish
    z = s.depthwise(s.pad(s.conv(y, 24), Padding(2, 0, 1, 1)), 5, Padding(2, 2, 2, 2))
    z = s.mul(z, s.conv(s.conv(s.mean(z), 8), 24))  # squeeze and excite
    z = s.conv(z, 16, 3)
    z = s.add(s.conv(z, 16), z)
    s.linear(s.flatten(s.mean(z)), 10)
    assert not in_float64(check(s))


@pytest.mark.parametrize("kernel", [(1, Padding()), (3, SAME), (5, Padding(2, 2, 2, 2)), (3, Padding(0, 1, 0, 1))])
@pytest.mark.parametrize("channels", [3, 16, 33])
def test_convolutions_of_large_maps(channels: int, kernel: tuple[int, Padding]) -> None:
    """Shapes for which a library might choose an algorithm that is not exact (Winograd's, for 3x3 of many channels)."""
    s = Sketch((channels, 40, 40))
    s.conv("x", 64, kernel[0], 1, kernel[1])
    check(s)
    s = Sketch((channels, 40, 40))
    s.depthwise("x", 3, SAME)
    check(s)


def test_sums_as_large_as_float32_holds() -> None:
    s = Sketch((517,))
    s.linear("x", 40, bias=1)
    assert not in_float64(check(s))


def test_larger_sums() -> None:
    s = Sketch((2100, 3, 3))
    s.linear(s.flatten(s.mean(s.conv("x", 1300))), 40)
    assert in_float64(check(s))


def test_large_biases() -> None:
    s = Sketch((40,))
    s.linear("x", 40, bias=2**30)
    assert in_float64(check(s))


def test_small_weights_stay_in_float32() -> None:
    s = Sketch((2100, 3, 3), reach=20)
    s.conv("x", 40)
    assert not in_float64(check(s))


def test_sums_at_the_limits_of_the_solver() -> None:
    for terms in ((1023, 1022, 1023), (1023, 1, 1023), (1021, 1023, 5)):
        s = Sketch((3, 16, 16))
        s.add("x", s.conv("x", 3), terms)
        check(s)


def test_the_mean_of_many_values() -> None:
    """Its ratio may need a denominator that float32 leaves no margin for."""
    s = Sketch((3, 110, 110))
    s.mean("x", Ratio.of((1, 12_101)))
    assert in_float64(check(s))


def test_several_readers_and_outputs() -> None:
    s = Sketch((4, 6, 6))
    x = s.conv("x", 4)
    s.add(x, x)
    s.mul(x, s.conv(x, 4))
    check(s)


@pytest.mark.parametrize("region", ["conv", "pad", "mean"])
def test_layers_in_float(region: str) -> None:
    """Integers before them are the reference's, reals are its but for their last bits, and so are integers behind."""
    s = Sketch((4, 9, 9))
    x = s.dequantize(s.conv("x", 8))
    y = x
    if region == "conv":
        y = s.real_conv(x, 8)
    elif region == "pad":
        y = s.real(Pad(SAME), x, (8, 11, 11))
    y = s.quantize(s.real(Mean(), y, (8, 1, 1), Clamp(-0.5, 0.5)))
    s.linear(s.flatten(y), 10)
    model, images = s.model(), s.images(64)
    expected = Reference(model).run_all(images)
    seen: dict[str, NDArray[Any]] = {}
    IntegerExecutor(model)(torch.from_numpy(images), observe=lambda n, v: seen.setdefault(n, v.numpy().copy()))
    for name, array in expected.items():
        if name not in model.params:
            assert seen[name].dtype == np.float32
            np.testing.assert_allclose(seen[name], array, rtol=1e-5, atol=1e-5)
        elif name in {"x", "n.0"}:
            np.testing.assert_array_equal(seen[name], array)
        else:
            assert np.abs(seen[name].astype(int) - array).max() <= 1
    assert np.ptp(expected[y].astype(int)) > 50


def test_a_float_output() -> None:
    s = Sketch((4, 9, 9))
    s.real_conv(s.dequantize("x"), 3)
    model, images = s.model(), s.images()
    output = IntegerExecutor(model)(torch.from_numpy(images))
    assert output.dtype == torch.float32
    np.testing.assert_allclose(output.numpy(), Reference(model).run(images), rtol=1e-5, atol=1e-5)


def test_an_operator_without_an_integer_form() -> None:
    s = Sketch((4, 6, 6))
    s.node(HardSwish(), ("x",), (4, 6, 6), None)
    with pytest.raises(UnsupportedOperator, match="the integer executor has no HardSwish"):
        IntegerExecutor(s.model())(torch.from_numpy(s.images()))
