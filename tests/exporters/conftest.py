"""Small networks, one an operator and attribute, with what the integer reference makes of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from edgekit.calibration.assignment import quantize
from edgekit.calibration.ranges import Range
from edgekit.executor.float import FloatExecutor
from edgekit.float_model import FloatModel
from edgekit.ir import Add, Clamp, Conv2d, Flatten, Graph, HardSwish, Linear, Mean, Mul, Node, Op, Pad, Padding, Tensor
from edgekit.preprocessing import Preprocessing
from edgekit.quantization import QuantParams
from edgekit.reference.integer import Reference

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.integer_model import IntegerModel

RELU, RELU6 = Clamp(0.0), Clamp(0.0, 6.0)
LABELS = ("cat", "dog", "größe", "日本")


class Sketch:
    """A network in the making; every method appends one operator and returns the name of its output.

    Weights and the input's range are random; the ranges of the other tensors are those that random images give, so that
    outputs are spread over int8 and some of them saturate. The last output is the network's, unless ``outputs`` names
    others.
    """

    def __init__(self, shape: tuple[int, ...] = (8, 9, 11), seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[Node] = []
        self.tensors = {"x": Tensor("x", shape)}
        self.constants: dict[str, NDArray[Any]] = {}
        self.per_tensor: list[str] = []
        self.outputs: tuple[str, ...] = ()
        self.input_range = Range(-self.random.uniform(0.5, 4), self.random.uniform(0.5, 4))

    def node(self, op: Op, inputs: tuple[str, ...], shape: tuple[int, ...], clamp: Clamp | None = None) -> str:
        name = f"layer.{len(self.nodes)}"
        self.nodes.append(Node(name, op, inputs, name, clamp))
        self.tensors[name] = Tensor(name, shape)
        return name

    def constant(self, role: str, values: NDArray[Any]) -> str:
        name = f"layer.{len(self.nodes)}.{role}"
        self.constants[name] = values.astype(np.float32)
        return name

    def weights(self, shape: tuple[int, ...], *, per_tensor: bool) -> tuple[str, str]:
        values = self.random.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape)
        if per_tensor:  # equal maxima give equal scales, which one number can stand for
            values *= 0.5 / np.abs(values).reshape(shape[0], -1).max(1).reshape(-1, *[1] * (len(shape) - 1))
        weight = self.constant("weight", values)
        if per_tensor:
            self.per_tensor.append(weight)
        return weight, self.constant("bias", self.random.normal(0, 0.3, shape[0]))

    def conv(
        self,
        x: str,
        channels: int | None = None,
        kernel: int = 1,
        stride: tuple[int, int] = (1, 1),
        padding: Padding | str = Padding(),  # noqa: B008 - frozen
        clamp: Clamp | None = None,
        *,
        per_tensor: bool = False,
        factor: float = 1.0,
    ) -> str:
        """A convolution; depthwise where ``channels`` is None.

        Padding is an amount or "same"; ``factor`` is what its input carries and its weights absorb.
        """
        inputs, height, width = self.tensors[x].shape
        if padding == "same":
            padding = Padding.same((height, width), (kernel, kernel), stride)
        assert isinstance(padding, Padding)
        groups = inputs if channels is None else 1
        out = channels or inputs
        weight, bias = self.weights((out, inputs // groups, kernel, kernel), per_tensor=per_tensor)
        self.constants[weight] /= factor
        rows, columns = height + padding.top + padding.bottom, width + padding.left + padding.right
        shape = (out, (rows - kernel) // stride[0] + 1, (columns - kernel) // stride[1] + 1)
        return self.node(Conv2d(stride, padding, groups), (x, weight, bias), shape, clamp)

    def linear(self, x: str, features: int, *, per_tensor: bool = False) -> str:
        weight, bias = self.weights((features, *self.tensors[x].shape), per_tensor=per_tensor)
        return self.node(Linear(), (x, weight, bias), (features,))

    def add(self, a: str, b: str, clamp: Clamp | None = None) -> str:
        return self.node(Add(), (a, b), self.tensors[a].shape, clamp)

    def add_constant(self, x: str, value: float, clamp: Clamp | None = None) -> str:
        return self.node(Add(), (x, self.constant("constant", np.array([value]))), self.tensors[x].shape, clamp)

    def mul(self, a: str, b: str) -> str:
        return self.node(Mul(), (a, b), self.tensors[a].shape)

    def mean(self, x: str, *, keep_dims: bool = True) -> str:
        channels = self.tensors[x].shape[0]
        return self.node(Mean(keep_dims), (x,), (channels, 1, 1) if keep_dims else (channels,))

    def pad(self, x: str, padding: Padding) -> str:
        channels, height, width = self.tensors[x].shape
        shape = (channels, height + padding.top + padding.bottom, width + padding.left + padding.right)
        return self.node(Pad(padding), (x,), shape)

    def flatten(self, x: str) -> str:
        return self.node(Flatten(), (x,), self.tensors[x].shape[:1])

    def hard_swish(self, x: str) -> str:
        return self.node(HardSwish(), (x,), self.tensors[x].shape)

    def integer_hard_swish(self, x: str) -> str:
        """x relu6(x + 3), as an integer model has it: the result carries a factor of 6."""
        return self.mul(x, self.add_constant(x, 3.0, RELU6))

    def squeeze_excite(self, x: str, factor: float = 1.0) -> str:
        """x gate, with the hard-sigmoid of an integer model: the result carries a factor of 6 more."""
        gate = self.conv(self.conv(self.mean(x), 4, clamp=RELU, factor=factor), self.tensors[x].shape[0], clamp=RELU6)
        return self.mul(x, gate)

    def float_model(self) -> FloatModel:
        outputs = self.outputs or (self.nodes[-1].output,)
        graph = Graph("tiny", "x", outputs, tuple(self.nodes), self.tensors, self.constants)
        height, width = self.tensors["x"].shape[1:] if len(self.tensors["x"].shape) > 1 else (1, 1)
        return FloatModel(graph, Preprocessing((height, width), None), LABELS, {"made by": "hand"})

    def images(self, count: int = 8) -> NDArray[np.float32]:
        """Random real inputs [N, C, H, W] within the input's range."""
        shape = (count, *self.tensors["x"].shape)
        return self.random.uniform(self.input_range.low, self.input_range.high, shape).astype(np.float32)

    def integer_model(self, keep_float: Collection[str] = (), int16: Collection[str] = ()) -> IntegerModel:
        model = self.float_model()
        ranges: dict[str, Range] = {}

        def observe(name: str, value: torch.Tensor) -> None:
            low, high = float(value.numpy().min()), float(value.numpy().max())
            ranges[name] = Range(min(low, 0.0) * 0.9, max(high, 0.1) * 0.9)

        FloatExecutor(model.graph)(torch.from_numpy(self.images()), observe=observe)
        ranges["x"] = self.input_range
        quantized = quantize(model, ranges, pixel_input=False, keep_float=keep_float, int16=int16)
        single = {}
        for name in set(self.per_tensor) & quantized.params.keys():
            scale = quantized.params[name].scale
            assert len(set(scale.tolist())) == 1
            single[name] = QuantParams(scale[:1])
        return replace(quantized, params={**quantized.params, **single})


def stored_images(model: IntegerModel, count: int = 6, seed: int = 0) -> NDArray[np.int8]:
    """Stored inputs [N, ...]: all -128, all 127, only these two, and random ones."""
    shape = (count, *model.graph.tensors[model.graph.input].shape)
    stored = np.random.default_rng(seed).integers(-128, 128, shape).astype(np.int8)
    stored[0], stored[1] = -128, 127
    stored[2] = np.where(stored[2] < 0, -128, 127)
    return stored


def v2_block(s: Sketch) -> None:
    """Stem, an inverted residual block, one with stride 2, and the classifier, as in MobileNetV2."""
    x = s.conv("x", 8, 3, (2, 2), Padding(1, 1, 1, 1), RELU6)
    y = s.conv(s.conv(x, 24, clamp=RELU6), None, 3, (1, 1), Padding(1, 1, 1, 1), RELU6)
    x = s.add(x, s.conv(y, 8))
    y = s.conv(s.conv(x, 24, clamp=RELU6), None, 3, (2, 2), Padding(1, 1, 1, 1), RELU6)
    s.linear(s.mean(s.conv(s.conv(y, 12), 40, clamp=RELU6), keep_dims=False), 10)


def v3_block(s: Sketch) -> None:
    """Stem, blocks with squeeze-and-excite and hard-swish, and the classifier, as in MobileNetV3."""
    x = s.conv(s.integer_hard_swish(s.conv("x", 8, 3, (2, 2), "same")), 8, factor=6)
    y = s.integer_hard_swish(s.conv(x, 24))
    y = s.integer_hard_swish(s.conv(y, None, 5, (1, 1), Padding(2, 2, 2, 2), factor=6))
    x = s.add(x, s.conv(s.squeeze_excite(y, factor=6), 8, factor=36))
    y = s.conv(s.conv(x, 24, clamp=RELU), None, 5, (2, 2), Padding(2, 2, 2, 2), RELU)
    y = s.integer_hard_swish(s.conv(s.squeeze_excite(y), 40, factor=6))
    s.linear(s.mean(y, keep_dims=False), 10)


# Of v3_block: the stem with its hard-swish, a depthwise layer behind integers, the gate of a squeeze-and-excite.
MIXED_BLOCK = ("layer.0", "layer.1", "layer.2", "layer.7", "layer.12")

Build = Callable[[Sketch], object]
IMAGE = (3, 15, 18)

# name: (shape of the input, network); every operator, and every attribute that a MobileNet uses
INTEGER_CASES: dict[str, tuple[tuple[int, ...], Build]] = {
    "conv 1x1": ((8, 9, 11), lambda s: s.conv("x", 12)),
    "conv 1x1, stride 2": ((8, 9, 11), lambda s: s.conv("x", 12, 1, (2, 2))),
    "conv 1x1, 700 products": ((700, 2, 3), lambda s: s.conv("x", 9)),
    "conv 1x1, one output channel": ((8, 9, 11), lambda s: s.conv("x", 1)),
    "conv 3x3, valid": ((8, 9, 11), lambda s: s.conv("x", 12, 3)),
    "conv 3x3, same": ((8, 9, 11), lambda s: s.conv("x", 12, 3, (1, 1), "same")),
    "conv 3x3, same, stride 2": ((8, 9, 12), lambda s: s.conv("x", 12, 3, (2, 2), "same")),
    "conv 3x3, symmetric, stride 2": ((8, 9, 12), lambda s: s.conv("x", 12, 3, (2, 2), Padding(1, 1, 1, 1))),
    "conv 3x3, every side another padding": ((8, 9, 11), lambda s: s.conv("x", 12, 3, (1, 1), Padding(2, 0, 1, 3))),
    "conv 3x3, stride (1, 2)": ((8, 9, 11), lambda s: s.conv("x", 12, 3, (1, 2), Padding(1, 1, 1, 1))),
    "conv 5x5, same, stride 2": ((4, 9, 11), lambda s: s.conv("x", 12, 5, (2, 2), "same")),
    "conv 3x3, per tensor": ((8, 9, 11), lambda s: s.conv("x", 12, 3, per_tensor=True)),
    "first conv": (IMAGE, lambda s: s.conv("x", 16, 3, (2, 2), Padding(1, 1, 1, 1), RELU6)),
    "first conv, same": (IMAGE, lambda s: s.conv("x", 16, 3, (2, 2), "same", RELU)),
    "depthwise 3x3, same": ((8, 9, 11), lambda s: s.conv("x", None, 3, (1, 1), "same", RELU6)),
    "depthwise 3x3, valid": ((8, 9, 11), lambda s: s.conv("x", None, 3)),
    "depthwise 3x3, symmetric, stride 2": ((8, 9, 12), lambda s: s.conv("x", None, 3, (2, 2), Padding(1, 1, 1, 1))),
    "depthwise 3x3, same, stride 2": ((8, 9, 12), lambda s: s.conv("x", None, 3, (2, 2), "same")),
    "depthwise 5x5, same": ((8, 9, 11), lambda s: s.conv("x", None, 5, (1, 1), "same")),
    "depthwise 5x5, symmetric, stride 2": ((8, 9, 11), lambda s: s.conv("x", None, 5, (2, 2), Padding(2, 2, 2, 2))),
    "depthwise 3x3, per tensor": ((8, 9, 11), lambda s: s.conv("x", None, 3, per_tensor=True)),
    "linear": ((40,), lambda s: s.linear("x", 10)),
    "linear, 1280 products": ((1280,), lambda s: s.linear("x", 10)),
    "linear, per tensor": ((40,), lambda s: s.linear("x", 10, per_tensor=True)),
    "add": ((8, 9, 11), lambda s: s.add("x", s.conv("x", 8))),
    "add, clamped": ((8, 9, 11), lambda s: s.add(s.conv("x", 8), s.conv("x", 8), RELU)),
    "add, sum of sums": ((8, 9, 11), lambda s: s.add(s.conv("x", 8), s.add("x", s.conv("x", 8)))),
    "add, constant": ((8, 9, 11), lambda s: s.add_constant("x", 3.0, RELU6)),
    "mul": ((8, 9, 11), lambda s: s.mul("x", s.conv("x", 8))),
    "mul, hard-swish": ((8, 9, 11), lambda s: s.integer_hard_swish("x")),
    "mul, gate": ((8, 9, 11), lambda s: s.mul("x", s.mean("x"))),
    "mul, squeeze-and-excite": ((8, 9, 11), lambda s: s.squeeze_excite("x")),
    "mean of 49": ((8, 7, 7), lambda s: s.mean("x")),
    "mean of 16, axes dropped": ((8, 4, 4), lambda s: s.mean("x", keep_dims=False)),
    "mean of 1": ((8, 1, 1), lambda s: s.mean("x", keep_dims=False)),
    "pad": ((8, 9, 11), lambda s: s.pad("x", Padding(1, 2, 0, 3))),
    "pad, then conv": ((8, 9, 11), lambda s: s.conv(s.pad("x", Padding(1, 1, 1, 1)), 12, 3)),
    "flatten": ((8, 1, 1), lambda s: s.flatten("x")),
    "mean, flatten, linear": ((8, 7, 7), lambda s: s.linear(s.flatten(s.mean("x")), 10)),
    "block of V2": ((3, 32, 32), v2_block),
    "block of V3": ((3, 32, 32), v3_block),
}  # fmt: skip


def hard_swish_block(s: Sketch) -> None:
    """What a float file of MobileNetV3 holds: hard-swish as one operator, hard-sigmoid as a bias and a clamp."""
    x = s.hard_swish(s.conv("x", 8, 3, (2, 2), "same"))
    x = s.add(x, s.conv(s.squeeze_excite(s.hard_swish(s.conv(x, 24))), 8), RELU)
    s.linear(s.flatten(s.mean(s.pad(x, Padding(1, 0, 0, 1)))), 10)


FLOAT_CASES: dict[str, tuple[tuple[int, ...], Build]] = {
    **INTEGER_CASES,
    "hard-swish": ((8, 9, 11), lambda s: s.hard_swish("x")),
    "hard-swish, a block": ((3, 32, 32), hard_swish_block),
}
SEEDS = (0, 1)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """The networks are so small that torch's threads would mostly wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def sketch() -> type[Sketch]:
    """The class itself: call it to begin a network."""
    return Sketch


@pytest.fixture(scope="session", params=[(name, seed) for seed in SEEDS for name in INTEGER_CASES], ids=str)
def integer_case(request: pytest.FixtureRequest) -> tuple[IntegerModel, NDArray[np.int8], NDArray[np.int8]]:
    """Each network with each seed: the model, stored inputs [N, ...], and what the reference makes of them."""
    name, seed = request.param
    model = integer_network(name, seed)
    stored = stored_images(model)
    return model, stored, Reference(model).run(stored)


@pytest.fixture(scope="session", params=INTEGER_CASES)
def mixed_case(request: pytest.FixtureRequest) -> tuple[IntegerModel, NDArray[np.int8], NDArray[Any]]:
    """As ``integer_case``, with some layers, chosen at random, kept in float."""
    model = mixed_network(request.param, seed=4)
    stored = stored_images(model)
    return model, stored, Reference(model).run(stored)


@pytest.fixture(scope="session", params=[name for name in INTEGER_CASES if "per tensor" not in name])
def int16_case(request: pytest.FixtureRequest) -> tuple[IntegerModel, NDArray[np.int8], NDArray[Any]]:
    """As ``mixed_case``, with 16-bit activations for some layers; one in five of the others stays in float."""
    s = sketched(request.param, seed=6)
    names = [node.name for node in s.nodes]
    wide = s.random.choice(names, s.random.integers(1, len(names) + 1), replace=False).tolist()
    kept = [name for name in names if name not in wide and s.random.random() < 0.2]
    model = s.integer_model(kept, wide)
    stored = stored_images(model)
    return model, stored, Reference(model).run(stored)


@pytest.fixture(scope="session", params=FLOAT_CASES)
def float_case(request: pytest.FixtureRequest) -> tuple[FloatModel, NDArray[np.float32], NDArray[np.float32]]:
    """Each network in float: the model, inputs [N, ...], and what torch makes of them."""
    shape, build = FLOAT_CASES[request.param]
    s = Sketch(shape)
    build(s)
    model, images = s.float_model(), s.images(3)
    return model, images, FloatExecutor(model.graph)(torch.from_numpy(images)).numpy()


@pytest.fixture(scope="session", params=["block of V2", "block of V3"])
def integer_block(request: pytest.FixtureRequest) -> tuple[IntegerModel, NDArray[np.int8], NDArray[np.int8]]:
    """As ``integer_case``, the two that resemble whole networks."""
    model = integer_network(request.param, seed=2)
    stored = stored_images(model)
    return model, stored, Reference(model).run(stored)


@pytest.fixture(scope="session")
def integer_model() -> IntegerModel:
    """Any integer model."""
    return integer_network("block of V2", seed=3)


@pytest.fixture(scope="session")
def float_model() -> FloatModel:
    """Any float model."""
    s = Sketch((3, 32, 32))
    hard_swish_block(s)
    return s.float_model()


@pytest.fixture(scope="session")
def mixed_block() -> IntegerModel:
    """A whole network with some layers kept in float, the last one not among them."""
    s = Sketch((3, 32, 32), seed=5)
    v3_block(s)
    return s.integer_model(MIXED_BLOCK)


@pytest.fixture(scope="session")
def assert_near() -> Callable[[IntegerModel, NDArray[Any], NDArray[Any]], None]:
    """Assert that an output is the reference's but for the last bits of float kernels, or of 16-bit ones."""

    def check(model: IntegerModel, found: NDArray[Any], expected: NDArray[Any]) -> None:
        int16 = bool(model.int16_nodes)
        if model.graph.outputs[0] in model.params:
            distance = np.abs(found.astype(int) - expected)
            assert distance.max() <= (2 if int16 else 1)
            assert distance.mean() < (0.05 if int16 else 0.01)
        else:
            tolerance = 1e-2 if int16 else 2e-6
            np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())

    return check


def integer_network(name: str, seed: int) -> IntegerModel:
    return sketched(name, seed).integer_model()


def mixed_network(name: str, seed: int) -> IntegerModel:
    s = sketched(name, seed)
    names = [node.name for node in s.nodes]
    kept = s.random.choice(names, s.random.integers(1, len(names) + 1), replace=False)
    return s.integer_model(kept.tolist())


def sketched(name: str, seed: int) -> Sketch:
    shape, build = INTEGER_CASES[name]
    s = Sketch(shape, seed)
    build(s)
    return s
