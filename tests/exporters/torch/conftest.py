"""Small integer models built by hand, and their integers computed without any framework: the oracle.

The oracle knows the contract only: integer sums, one exact rational ratio, round, saturate.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.integer_model import IntegerModel
from edgekit.ir import Add, Conv2d, Flatten, Graph, Linear, Mean, Mul, Node, Op, Pad, Padding, Tensor
from edgekit.preprocessing import Preprocessing
from edgekit.quantization import QuantParams, Ratio, odd_fractions, requantize, solve_add

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

NO_PADDING, SCALE = Padding(), Fraction(3, 140)


class Network:
    """An integer model in the making; every method appends one operator and returns the name of its output."""

    def __init__(self, shape: tuple[int, ...] = (3, 9, 11), seed: int = 0, weight_limit: int = 127) -> None:
        self.weight_limit = weight_limit
        self.random = np.random.default_rng(seed)
        self.nodes: list[Node] = []
        self.tensors: dict[str, Tensor] = {}
        self.constants: dict[str, NDArray[Any]] = {}
        self.params: dict[str, QuantParams] = {}
        self.ratios: dict[str, Ratio] = {}
        self.scales: dict[str, Fraction] = {}
        self.tensor("image", shape, Fraction(2, 255), 0)

    def tensor(self, name: str, shape: tuple[int, ...], scale: Fraction, zero_point: int | None = None) -> str:
        if zero_point is None:
            zero_point = int(self.random.integers(-128, 128))
        self.tensors[name] = Tensor(name, shape)
        self.scales[name] = scale
        self.params[name] = QuantParams(np.array([float(scale)], np.float32), zero_point)
        return name

    def node(self, op: Op, *inputs: str, output: str) -> str:
        self.nodes.append(Node(f"node.{len(self.nodes)}", op, inputs, output))
        return output

    def name(self) -> str:
        return f"t.{len(self.nodes)}"

    def weights(
        self, x: str, shape: tuple[int, ...], out: Fraction, bias: NDArray[np.int32] | None
    ) -> tuple[str, str, Ratio]:
        channels, summands = shape[0], int(np.prod(shape[1:]))
        # The sum's standard deviation lands between a third of the int8 range and far outside of it.
        wanted = self.random.uniform(40, 300, channels) / (np.sqrt(summands) * 74 * self.weight_limit / 1.7)
        ratio = odd_fractions(wanted)
        weight, offset = f"{self.name()}.weight", f"{self.name()}.bias"
        stored = self.random.integers(-self.weight_limit, self.weight_limit + 1, shape).astype(np.int8)
        stored[0], stored[-1] = self.weight_limit, -self.weight_limit
        self.constants[weight] = stored
        reach = (100 / ratio.value).astype(np.int64)
        self.constants[offset] = self.random.integers(-reach, reach).astype(np.int32) if bias is None else bias
        scales = [float(ratio.fraction(i) * out / self.scales[x]) for i in range(channels)]
        self.params[weight] = QuantParams(np.array(scales, np.float32))
        return weight, offset, ratio

    def conv(
        self,
        x: str,
        channels: int,
        kernel: int = 1,
        stride: int = 1,
        padding: Padding = NO_PADDING,
        groups: int = 1,
        bias: NDArray[np.int32] | None = None,
        scale: Fraction = SCALE,
    ) -> str:
        inputs, height, width = self.tensors[x].shape
        rows, columns = height + padding.top + padding.bottom, width + padding.left + padding.right
        shape = (channels, (rows - kernel) // stride + 1, (columns - kernel) // stride + 1)
        output = self.tensor(self.name(), shape, scale)
        weight, offset, ratio = self.weights(x, (channels, inputs // groups, kernel, kernel), self.scales[output], bias)
        self.ratios[f"node.{len(self.nodes)}"] = ratio
        return self.node(Conv2d((stride, stride), padding, groups), x, weight, offset, output=output)

    def linear(self, x: str, features: int) -> str:
        output = self.tensor(self.name(), (features,), Fraction(1, 17))
        weight, offset, ratio = self.weights(x, (features, *self.tensors[x].shape), self.scales[output], None)
        self.ratios[f"node.{len(self.nodes)}"] = ratio
        return self.node(Linear(), x, weight, offset, output=output)

    def add(self, a: str, b: str) -> str:
        solved = solve_add(self.scales[a], self.scales[b], self.scales[a] * Fraction(13, 9), fixed_b=True)
        output = self.tensor(self.name(), self.tensors[a].shape, solved.out)
        self.ratios[f"node.{len(self.nodes)}"] = solved.ratio
        return self.node(Add(), a, b, output=output)

    def add_constant(self, a: str, real: Fraction) -> str:
        solved = solve_add(self.scales[a], real / 127, self.scales[a] * Fraction(7, 10), fixed_b=False)
        constant = f"{self.name()}.constant"
        self.constants[constant] = np.array([127], np.int8)
        self.params[constant] = QuantParams(np.array([float(solved.b)], np.float32), 0)
        output = self.tensor(self.name(), self.tensors[a].shape, solved.out)
        self.ratios[f"node.{len(self.nodes)}"] = solved.ratio
        return self.node(Add(), a, constant, output=output)

    def mul(self, a: str, b: str) -> str:
        ratio = odd_fractions(np.array([0.0117]))
        out = self.scales[a] * self.scales[b] / ratio.fraction()
        self.ratios[f"node.{len(self.nodes)}"] = ratio
        return self.node(Mul(), a, b, output=self.tensor(self.name(), self.tensors[a].shape, out))

    def mean(self, x: str, *, keep_dims: bool) -> str:
        channels, height, width = self.tensors[x].shape
        ratio = odd_fractions(np.array([2.3 / (height * width)]))
        out = self.scales[x] / (height * width) / ratio.fraction()
        self.ratios[f"node.{len(self.nodes)}"] = ratio
        shape = (channels, 1, 1) if keep_dims else (channels,)
        return self.node(Mean(keep_dims), x, output=self.tensor(self.name(), shape, out))

    def pad(self, x: str, padding: Padding) -> str:
        channels, height, width = self.tensors[x].shape
        shape = (channels, height + padding.top + padding.bottom, width + padding.left + padding.right)
        output = self.tensor(self.name(), shape, self.scales[x], self.params[x].zero_point)
        return self.node(Pad(padding), x, output=output)

    def flatten(self, x: str) -> str:
        shape = self.tensors[x].shape[:1]
        return self.node(
            Flatten(), x, output=self.tensor(self.name(), shape, self.scales[x], self.params[x].zero_point)
        )

    def model(self) -> IntegerModel:
        graph = Graph("tiny", "image", (self.nodes[-1].output,), tuple(self.nodes), self.tensors, self.constants)
        preprocessing = Preprocessing(size=(9, 11), resize=None)
        return IntegerModel(
            graph, self.params, self.ratios, preprocessing, preprocessing.normalization, pixel_input=False,
            labels=("cat", "dog"), provenance={"made by": "hand"},
        )  # fmt: skip

    def images(self, count: int = 6) -> NDArray[np.int8]:
        """Random stored inputs [N, C, H, W], with the extremes among them."""
        shape = self.tensors["image"].shape
        stored = self.random.integers(-128, 128, (count, *shape)).astype(np.int8)
        stored[0], stored[1] = -128, 127
        stored[2] = np.where(stored[2] < 0, -128, 127)
        return stored


def evaluate(model: IntegerModel, image: NDArray[np.int8]) -> NDArray[np.int8]:
    """The stored integers of the output, for stored integers [N, ...] of the input."""
    graph = model.graph
    values: dict[str, NDArray[Any]] = {graph.input: image, **graph.constants}

    def centred(name: str) -> NDArray[np.int64]:
        return values[name].astype(np.int64) - (model.params[name].zero_point if name in model.params else 0)

    one = np.ones(1, np.int64)
    for node in graph:
        x = centred(node.inputs[0])
        zero_point = model.params[node.output].zero_point
        ratio = model.ratios.get(node.name)
        numerator, denominator = (ratio.numerator, ratio.denominator) if ratio else (one, one)
        match node.op:
            case Conv2d(stride=stride, padding=padding, groups=groups):
                total = convolve(padded(x, padding), centred(node.inputs[1]), stride[0], groups)
                total += values[node.inputs[2]][:, None, None]
                result = requantize(total, numerator[:, None, None], denominator[:, None, None], zero_point)
            case Linear():
                total = x @ centred(node.inputs[1]).T + values[node.inputs[2]]
                result = requantize(total, numerator, denominator, zero_point)
            case Add():
                total = x * numerator[0] + centred(node.inputs[1]) * numerator[1]
                result = requantize(total, one, denominator[:1], zero_point)
            case Mul():
                result = requantize(x * centred(node.inputs[1]), numerator, denominator, zero_point)
            case Mean(keep_dims=keep_dims):
                result = requantize(x.sum((2, 3), keepdims=keep_dims), numerator, denominator, zero_point)
            case Pad(padding=padding):
                result = (padded(x, padding) + zero_point).astype(np.int8)
            case Flatten():
                result = values[node.inputs[0]].reshape(len(x), -1)
        values[node.output] = result
    return values[graph.outputs[0]]


def padded(x: NDArray[np.int64], padding: Padding) -> NDArray[np.int64]:
    return np.pad(x, ((0, 0), (0, 0), (padding.top, padding.bottom), (padding.left, padding.right)))


def convolve(x: NDArray[np.int64], weight: NDArray[np.int64], stride: int, groups: int) -> NDArray[np.int64]:
    """[N, I, H, W] with [O, I / groups, k, k] -> [N, O, H', W'], in int64."""
    kernel, of_group = weight.shape[2], weight.shape[0] // groups
    windows = np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), (2, 3))[:, :, ::stride, ::stride]
    parts = [
        np.einsum("nihwkl,oikl->nohw", part, weight[g * of_group : (g + 1) * of_group])
        for g, part in enumerate(np.split(windows, groups, axis=1))
    ]
    return np.concatenate(parts, axis=1)


@pytest.fixture
def network() -> Callable[..., Network]:
    """The class itself: call it to begin a network."""
    return Network


@pytest.fixture
def oracle() -> Callable[[IntegerModel, NDArray[np.int8]], NDArray[np.int8]]:
    """``evaluate``."""
    return evaluate
