"""Networks that several test folders use: whole ones, and ``Sketch`` for those that a test makes node by node."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from edgekit.calibration.assignment import quantize
from edgekit.calibration.options import Options
from edgekit.calibration.ranges import Range
from edgekit.capture.torch_export import capture
from edgekit.executor.float import FloatExecutor
from edgekit.float_model import FloatModel
from edgekit.integer_model import IntegerModel
from edgekit.ir import (
    Add,
    AveragePool2d,
    Clamp,
    Concat,
    Conv2d,
    Graph,
    HardSwish,
    LeakyReLU,
    Linear,
    MaxPool2d,
    Mean,
    Mul,
    Node,
    Op,
    Output,
    Pad,
    Padding,
    Part,
    PReLU,
    Rearrange,
    Resize,
    Sigmoid,
    Slice,
    Softmax,
    Tensor,
)
from edgekit.ir.operators.operator import Window
from edgekit.models.backbone import Backbone
from edgekit.models.building import built
from edgekit.models.families.mobilenet_v2 import mobilenet_v2
from edgekit.models.heads.convolution import ConvolutionHead
from edgekit.models.heads.linear import LinearHead
from edgekit.models.network import Network
from edgekit.passes import integer_form
from edgekit.preprocessing import Preprocessing
from edgekit.quantization import QuantParams, Ratio, odd_fractions, solve_add
from edgekit.reference.float import FloatReference

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from edgekit.models.architecture import Architecture
    from edgekit.models.structures import Structure

RELU, RELU6 = Clamp(0.0), Clamp(0.0, 6.0)
NO_PADDING, SAME = Padding(), Padding(1, 1, 1, 1)
LABELS = ("cat", "dog", "größe", "日本")
SCALE = Fraction(3, 140)  # of an integer layer's output, unless a test says another


def with_ranges(
    architecture: Structure, pixels: NDArray[np.uint8], clipped: float
) -> tuple[FloatModel, dict[str, Range]]:
    """A network with random weights that has seen ``pixels``, and ranges that clip that share at either end."""
    torch.manual_seed(0)
    shape = pixels.shape[1:3]
    preprocessing = Preprocessing((shape[0], shape[1]), None)
    module = built(architecture).train()
    with torch.no_grad():
        module(torch.from_numpy(preprocessing.normalization(pixels)))  # statistics for batch normalization
    model = FloatModel(integer_form(capture(module.eval(), architecture.name, (3, *shape))), preprocessing)
    ranges: dict[str, Range] = {}

    def observe(name: str, value: torch.Tensor) -> None:
        low, high = torch.quantile(value.flatten(), torch.tensor([clipped, 1 - clipped])).tolist()
        ranges[name] = Range(min(low, 0.0), max(high, 2.0**-8))

    with torch.inference_mode():
        FloatExecutor(model.graph)(torch.from_numpy(preprocessing.normalization(pixels)), observe)
    return model, ranges


def three_heads(architecture: Architecture | None = None) -> Network:
    """Logits of 10 classes, a vector of 4 numbers, and 3 numbers for every place of a feature map.

    Random weights, in evaluation mode, with statistics of random images. Without an architecture a V2 of width 0.25 for
    images of 64 x 64: the outputs are [N, 10], [N, 4] and [N, 3, 8, 8].
    """
    architecture = architecture or mobilenet_v2(0.25, resolution=64)
    torch.manual_seed(0)
    backbone = Backbone(architecture)
    heads = {
        "classes": LinearHead(backbone.pooled, 10),
        "pose": LinearHead(backbone.pooled, 4, hidden=[(16, "relu")]),
        "mask": ConvolutionHead(backbone.at(8), 3),
    }
    network = Network(backbone, heads).train()
    with torch.no_grad():
        network(torch.randn(8, architecture.in_channels, *architecture.size))  # statistics for batch normalization
    return network.eval()


class RowsOfTwoMaps(torch.nn.Module):
    """A head as SSD has it: boxes [N, rows, 4] and scores [N, rows, 3] of two feature maps, two a pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, 2, 1), torch.nn.ReLU6(), torch.nn.MaxPool2d(3, 2, 1))
        self.down = torch.nn.Sequential(torch.nn.Conv2d(8, 12, 3, 2, 1), torch.nn.ReLU6())
        self.boxes = torch.nn.ModuleList([torch.nn.Conv2d(channels, 2 * 4, 1) for channels in (8, 12)])
        self.scores = torch.nn.ModuleList([torch.nn.Conv2d(channels, 2 * 3, 1) for channels in (8, 12)])

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        large = self.stem(x)
        maps = large, self.down(large)

        def rows(heads: torch.nn.ModuleList, numbers: int) -> torch.Tensor:
            made = (head(features).permute(0, 2, 3, 1) for head, features in zip(heads, maps, strict=True))
            return torch.cat([one.reshape(x.shape[0], -1, numbers) for one in made], 1)

        return {"boxes": rows(self.boxes, 4), "scores": rows(self.scores, 3)}


def rows_of_two_maps() -> RowsOfTwoMaps:
    """Of random weights, in evaluation mode, for images of 24 x 32: 63 rows, 48 of the larger map."""
    torch.manual_seed(0)
    return RowsOfTwoMaps().eval()


class Sketch:
    """A graph in the making: every method appends a node and returns the name of the tensor that it makes.

    Nodes are "layer.0", "layer.1", ..., and so are their tensors. The last tensor is the network's output, "logits",
    unless ``outputs`` names others: these are called "logits", "output_1", ....
    """

    def __init__(self, shape: tuple[int, ...], seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[Node] = []
        self.tensors = {"x": Tensor("x", shape)}
        self.constants: dict[str, NDArray[Any]] = {}
        self.outputs: tuple[str, ...] = ()

    def node(self, op: Op, inputs: tuple[str, ...], clamp: Clamp | None = None) -> str:
        name = f"layer.{len(self.nodes)}"
        shapes = (self.tensors[x].shape if x in self.tensors else self.constants[x].shape for x in inputs)
        self.tensors[name] = Tensor(name, op.output_shape(*shapes))
        self.nodes.append(Node(name, op, inputs, name, clamp))
        return name

    def constant(self, role: str, values: NDArray[Any]) -> str:
        """An array that the next node reads."""
        name = f"layer.{len(self.nodes)}.{role}"
        self.constants[name] = values
        return name

    def graph(self) -> Graph:
        first, *others = self.outputs or (self.nodes[-1].output,)
        outputs = (Output.logits(first), *(Output(f"output_{i}", tensor) for i, tensor in enumerate(others, start=1)))
        return Graph("tiny", "x", outputs, tuple(self.nodes), self.tensors, self.constants)

    def preprocessing(self) -> Preprocessing:
        shape = self.tensors["x"].shape
        return Preprocessing((shape[1], shape[2]) if len(shape) == 3 else (1, 1), None)


class FloatSketch(Sketch):
    """A float network in the making.

    Weights and the input's range are random; the ranges of the other tensors are those that random images give, so that
    outputs are spread over int8 and some of them saturate.
    """

    def __init__(self, shape: tuple[int, ...] = (8, 9, 11), seed: int = 0) -> None:
        super().__init__(shape, seed)
        self.per_tensor: list[str] = []
        self.input_range = Range(-self.random.uniform(0.5, 4), self.random.uniform(0.5, 4))

    def weights(self, shape: tuple[int, ...], *, per_tensor: bool = False) -> tuple[str, str]:
        values = self.random.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape)
        if per_tensor:  # equal maxima give equal scales, which one number can stand for
            values *= 0.5 / np.abs(values).reshape(shape[0], -1).max(1).reshape(-1, *[1] * (len(shape) - 1))
        weight = self.constant("weight", values.astype(np.float32))
        if per_tensor:
            self.per_tensor.append(weight)
        return weight, self.constant("bias", self.random.normal(0, 0.3, shape[0]).astype(np.float32))

    def conv(
        self,
        x: str,
        channels: int | None = None,
        kernel: int = 1,
        stride: tuple[int, int] = (1, 1),
        padding: Padding | str = NO_PADDING,
        clamp: Clamp | None = None,
        *,
        per_tensor: bool = False,
        factor: float = 1.0,
        dilation: tuple[int, int] = (1, 1),
        groups: int | None = None,
    ) -> str:
        """A convolution; depthwise where ``channels`` is None, and else in as many groups.

        Padding is an amount or "same"; ``factor`` is what its input carries and its weights absorb.
        """
        inputs, height, width = self.tensors[x].shape
        if padding == "same":
            reach = Window(stride, NO_PADDING, dilation).reach((kernel, kernel))
            padding = Padding.same((height, width), reach, stride)
        assert isinstance(padding, Padding)
        groups = groups or (inputs if channels is None else 1)
        weight, bias = self.weights((channels or inputs, inputs // groups, kernel, kernel), per_tensor=per_tensor)
        self.constants[weight] /= factor
        return self.node(Conv2d(stride, padding, groups, dilation), (x, weight, bias), clamp)

    def linear(self, x: str, features: int, *, per_tensor: bool = False) -> str:
        return self.node(Linear(), (x, *self.weights((features, *self.tensors[x].shape), per_tensor=per_tensor)))

    def add(self, a: str, b: str, clamp: Clamp | None = None) -> str:
        return self.node(Add(), (a, b), clamp)

    def add_constant(self, x: str, value: float, clamp: Clamp | None = None) -> str:
        return self.add(x, self.constant("constant", np.array([value], np.float32)), clamp)

    def mul(self, a: str, b: str, clamp: Clamp | None = None) -> str:
        return self.node(Mul(), (a, b), clamp)

    def times(self, x: str, value: float, clamp: Clamp | None = None) -> str:
        return self.mul(x, self.constant("constant", np.array([value], np.float32)), clamp)

    def array(self, *shape: int) -> str:
        """A constant that the next node reads."""
        return self.constant("constant", self.random.normal(0, 1, shape).astype(np.float32))

    def mean(self, x: str, *, keep_dims: bool = True) -> str:
        return self.node(Mean(keep_dims), (x,))

    def pad(self, x: str, padding: Padding) -> str:
        return self.node(Pad(padding), (x,))

    def flatten(self, x: str) -> str:
        return self.rearrange(x, Rearrange.reshape(self.tensors[x].shape[:1]))

    def rearrange(self, x: str, op: Rearrange) -> str:
        return self.node(op, (x,))

    def average_pool(
        self, x: str, kernel: tuple[int, int], stride: tuple[int, int], padding: Padding = NO_PADDING,
        clamp: Clamp | None = None,
    ) -> str:  # fmt: skip
        return self.node(AveragePool2d(kernel, stride, padding), (x,), clamp)

    def leaky_relu(self, x: str, slope: float) -> str:
        return self.node(LeakyReLU(slope), (x,))

    def prelu(self, x: str) -> str:
        slope = self.random.normal(0.25, 0.5, self.tensors[x].shape[0]).astype(np.float32)
        return self.node(PReLU(), (x, self.constant("slope", slope)))

    def max_pool(self, x: str, kernel: int, stride: int, padding: Padding = NO_PADDING) -> str:
        return self.node(MaxPool2d((kernel, kernel), (stride, stride), padding), (x,))

    def concat(self, *xs: str, axis: int = 0) -> str:
        return self.node(Concat(axis), xs)

    def slice(self, x: str, *places: slice) -> str:
        parts = (Part.of(part, size) for part, size in zip(places, self.tensors[x].shape, strict=True))
        return self.node(Slice(tuple(parts)), (x,))

    def hard_swish(self, x: str) -> str:
        return self.node(HardSwish(), (x,))

    def resize(self, x: str, size: tuple[int, int], mode: str) -> str:
        return self.node(Resize(size, mode), (x,))

    def sigmoid(self, x: str) -> str:
        return self.node(Sigmoid(), (x,))

    def silu(self, x: str) -> str:
        return self.mul(x, self.sigmoid(x))

    def integer_hard_swish(self, x: str) -> str:
        """x relu6(x + 3), as an integer model has it: the result carries a factor of 6."""
        return self.mul(x, self.add_constant(x, 3.0, RELU6))

    def squeeze_excite(self, x: str, factor: float = 1.0) -> str:
        """x gate, with the hard-sigmoid of an integer model: the result carries a factor of 6 more."""
        gate = self.conv(self.conv(self.mean(x), 4, clamp=RELU, factor=factor), self.tensors[x].shape[0], clamp=RELU6)
        return self.mul(x, gate)

    def softmax(self, x: str, axis: int = 1) -> str:
        return self.node(Softmax(axis), (x,))

    def gated(self, x: str) -> str:
        """x gate, with the sigmoid of EfficientNet and MobileOne."""
        gate = self.sigmoid(self.conv(self.conv(self.mean(x), 4, clamp=RELU), self.tensors[x].shape[0]))
        return self.mul(x, gate)

    def float_model(self) -> FloatModel:
        return FloatModel(self.graph(), self.preprocessing(), LABELS, {"made by": "hand"})

    def images(self, count: int = 8) -> NDArray[np.float32]:
        """Random real inputs [N, C, H, W] within the input's range."""
        shape = (count, *self.tensors["x"].shape)
        return self.random.uniform(self.input_range.low, self.input_range.high, shape).astype(np.float32)

    def pixels(self, count: int = 16) -> NDArray[np.uint8]:
        """Random images [N, H, W, C]."""
        channels, *size = self.tensors["x"].shape
        return self.random.integers(0, 256, (count, *size, channels)).astype(np.uint8)

    def ranges(self) -> dict[str, Range]:
        """Of every tensor for random pixels."""
        model = self.float_model()
        values = FloatReference(model.graph).run_all(model.preprocessing.normalization(self.pixels()))
        return {name: Range(min(float(v.min()), 0.0), max(float(v.max()), 0.0)) for name, v in values.items()}

    def integer_model(self, keep_float: Collection[str] = (), int16: Collection[str] = ()) -> IntegerModel:
        model = self.float_model()
        ranges: dict[str, Range] = {}

        def observe(name: str, value: torch.Tensor) -> None:
            low, high = float(value.numpy().min()), float(value.numpy().max())
            ranges[name] = Range(min(low, 0.0) * 0.9, max(high, 0.1) * 0.9)

        FloatExecutor(model.graph)(torch.from_numpy(self.images()), observe=observe)
        ranges["x"] = self.input_range
        quantized = quantize(model, ranges, Options(pixel_input=False, keep_float=keep_float, int16=int16))
        single = {}
        for name in set(self.per_tensor) & quantized.params.keys():
            scale = quantized.params[name].scale
            assert len(set(scale.tolist())) == 1
            single[name] = QuantParams(scale[:1])
        return replace(quantized, params={**quantized.params, **single})


def v2_block(s: FloatSketch) -> None:
    """Stem, an inverted residual block, one with stride 2, and the classifier, as in MobileNetV2."""
    x = s.conv("x", 8, 3, (2, 2), SAME, RELU6)
    y = s.conv(s.conv(x, 24, clamp=RELU6), None, 3, (1, 1), SAME, RELU6)
    x = s.add(x, s.conv(y, 8))
    y = s.conv(s.conv(x, 24, clamp=RELU6), None, 3, (2, 2), SAME, RELU6)
    s.linear(s.mean(s.conv(s.conv(y, 12), 40, clamp=RELU6), keep_dims=False), 10)


def v3_block(s: FloatSketch) -> None:
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


def hard_swish_block(s: FloatSketch) -> None:
    """What a float file of MobileNetV3 holds: hard-swish as one operator, hard-sigmoid as a bias and a clamp."""
    x = s.hard_swish(s.conv("x", 8, 3, (2, 2), "same"))
    x = s.add(x, s.conv(s.squeeze_excite(s.hard_swish(s.conv(x, 24))), 8), RELU)
    s.linear(s.flatten(s.mean(s.pad(x, Padding(1, 0, 0, 1)))), 10)


class IntegerSketch(Sketch):
    """An integer model in the making, without calibration: scales are those that a test gives, as exact fractions.

    Weights are random; where no ratio or zero point is given, those are random, too.
    """

    def __init__(
        self,
        shape: tuple[int, ...] = (3, 9, 11),
        seed: int = 0,
        reach: int = 127,
        scale: Fraction = Fraction(2, 255),
        zero_point: int | None = None,
    ) -> None:
        super().__init__(shape, seed)
        self.reach = reach  # of the weights
        self.params: dict[str, QuantParams] = {}
        self.scales: dict[str, Fraction] = {}
        self.ratios: dict[str, Ratio] = {}
        self.stored("x", scale, zero_point)

    def stored(self, tensor: str, scale: Fraction, zero_point: int | None = None) -> str:
        """Gives a tensor its scale and zero point."""
        if zero_point is None:
            zero_point = int(self.random.integers(-128, 128))
        self.scales[tensor], self.params[tensor] = scale, QuantParams(np.array([float(scale)], np.float32), zero_point)
        return tensor

    def integers(
        self,
        op: Op,
        inputs: tuple[str, ...],
        scale: Fraction,
        zero_point: int | None = None,
        ratio: Ratio | None = None,
    ) -> str:
        """A node that gives integers."""
        output = self.stored(self.node(op, inputs), scale, zero_point)
        if ratio is not None:
            self.ratios[output] = ratio
        return output

    def stored_constant(self, role: str, values: NDArray[Any], scales: Sequence[Fraction]) -> str:
        name = self.constant(role, values)
        self.params[name] = QuantParams(np.array([float(scale) for scale in scales], np.float32))
        return name

    def layer(
        self,
        op: Op,
        x: str,
        weights: tuple[NDArray[np.int8], NDArray[Any]],
        ratios: Sequence[Fraction],
        scale: Fraction,
        zero_point: int | None = None,
    ) -> str:
        """A convolution or linear layer of given weights and biases, and of one ratio an output channel."""
        weight, bias = weights
        one_a_channel = ratios if len(set(ratios)) > 1 else ratios[:1]
        w = self.stored_constant("weight", weight, [ratio * scale / self.scales[x] for ratio in one_a_channel])
        b = self.constant("bias", bias.astype(np.int32))
        terms = np.array([[ratio.numerator, ratio.denominator] for ratio in ratios]).T
        return self.integers(op, (x, w, b), scale, zero_point, Ratio(*terms))

    def drawn_layer(self, op: Op, x: str, shape: tuple[int, ...], bias: int | None, scale: Fraction) -> str:
        """A layer of random weights of a shape, and of biases up to ``bias``, else up to 100 steps of the output."""
        # The sum's standard deviation lands between a third of the int8 range and far outside of it.
        spread = np.sqrt(np.prod(shape[1:])) * 74 * self.reach / 1.7
        ratio = odd_fractions(self.random.uniform(40, 300, shape[0]) / spread)
        weight = self.random.integers(-self.reach, self.reach + 1, shape).astype(np.int8)
        weight[0], weight[-1] = self.reach, -self.reach
        most = (100 / ratio.value).astype(np.int64) if bias is None else bias
        biases = self.random.integers(-most, most, shape[0])
        return self.layer(op, x, (weight, biases), [ratio.fraction(i) for i in range(shape[0])], scale)

    def conv(
        self,
        x: str,
        channels: int,
        kernel: int = 1,
        stride: int = 1,
        padding: Padding = NO_PADDING,
        groups: int = 1,
        scale: Fraction = SCALE,
    ) -> str:
        shape = (channels, self.tensors[x].shape[0] // groups, kernel, kernel)
        return self.drawn_layer(Conv2d((stride, stride), padding, groups), x, shape, None, scale)

    def linear(self, x: str, features: int, bias: int | None = None) -> str:
        return self.drawn_layer(Linear(), x, (features, *self.tensors[x].shape), bias, Fraction(1, 17))

    def add(self, a: str, b: str) -> str:
        solved = solve_add(self.scales[a], self.scales[b], self.scales[a] * Fraction(13, 9), fixed_b=True)
        return self.integers(Add(), (a, b), solved.out, ratio=solved.ratio)

    def add_constant(self, a: str, real: Fraction) -> str:
        solved = solve_add(self.scales[a], real / 127, self.scales[a] * Fraction(7, 10), fixed_b=False)
        constant = self.stored_constant("constant", np.array([127], np.int8), [solved.b])
        return self.integers(Add(), (a, constant), solved.out, ratio=solved.ratio)

    def mul(self, a: str, b: str) -> str:
        ratio = odd_fractions(np.array([0.0117]))
        return self.integers(Mul(), (a, b), self.scales[a] * self.scales[b] / ratio.fraction(), ratio=ratio)

    def mean(self, x: str, *, keep_dims: bool = True) -> str:
        _, height, width = self.tensors[x].shape
        ratio = odd_fractions(np.array([2.3 / (height * width)]))
        out = self.scales[x] / (height * width) / ratio.fraction()
        return self.integers(Mean(keep_dims), (x,), out, ratio=ratio)

    def pad(self, x: str, padding: Padding) -> str:
        return self.integers(Pad(padding), (x,), self.scales[x], self.params[x].zero_point)

    def flatten(self, x: str) -> str:
        return self.rearrange(x, Rearrange.reshape(self.tensors[x].shape[:1]))

    def rearrange(self, x: str, op: Rearrange) -> str:
        return self.integers(op, (x,), self.scales[x], self.params[x].zero_point)

    def model(self) -> IntegerModel:
        preprocessing = self.preprocessing()
        return IntegerModel(
            self.graph(),
            self.params,
            self.ratios,
            preprocessing,
            preprocessing.normalization,
            pixel_input=False,
            labels=LABELS[:2],
            provenance={"made by": "hand"},
        )

    def images(self, count: int = 6) -> NDArray[np.int8]:
        """Random stored inputs [N, C, H, W], with those among them that make the largest sums."""
        stored = self.random.integers(-128, 128, (count, *self.tensors["x"].shape)).astype(np.int8)
        stored[0], stored[1] = -128, 127
        stored[2] = np.where(stored[2] < 0, -128, 127)
        return stored
