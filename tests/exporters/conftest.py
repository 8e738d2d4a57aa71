"""Small networks, one an operator and attribute, with what the integer reference makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from edgekit.executor.float import FloatExecutor
from edgekit.ir import Graph, Pad, Padding, Rearrange
from edgekit.ir.operators.resize import ALIGNED, ASYMMETRIC, HALF_PIXEL, NEAREST
from edgekit.reference.integer import Reference
from tests.networks import MIXED_BLOCK, RELU, RELU6, SAME, FloatSketch, hard_swish_block, v2_block, v3_block

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.float_model import FloatModel
    from edgekit.integer_model import IntegerModel


def stored_images(model: IntegerModel, count: int = 6, seed: int = 0) -> NDArray[np.int8]:
    """Stored inputs [N, ...]: all -128, all 127, only these two, and random ones."""
    shape = (count, *model.graph.tensors[model.graph.input].shape)
    stored = np.random.default_rng(seed).integers(-128, 128, shape).astype(np.int8)
    stored[0], stored[1] = -128, 127
    stored[2] = np.where(stored[2] < 0, -128, 127)
    return stored


def turns_maps(graph: Graph) -> bool:
    """Whether it moves the values of feature maps about, so that a file has to."""
    moved = [graph.tensors[node.inputs[0]] for node in graph if isinstance(node.op, Rearrange)]
    return any(x.shape[1:] not in {(), (1, 1)} for x in moved)


Build = Callable[[FloatSketch], object]


def concats(s: FloatSketch) -> None:
    """Branches as a detector's neck has them: joined, summed up, and joined again."""
    a, b = s.conv("x", 4, clamp=RELU), s.conv("x", 4, 3, (1, 1), "same", RELU6)
    both = s.concat(a, b)
    total = s.add(s.conv(both, 8, clamp=RELU), both)
    s.linear(s.mean(s.conv(s.concat(total, both, s.mul(total, s.mean(total))), 12), keep_dims=False), 10)


def rows(s: FloatSketch, x: str) -> str:
    """Six numbers for each pixel and each sixth of the channels, as detectors give boxes."""
    channels, height, width = s.tensors[x].shape
    pixels = height * width
    return s.rearrange(x, Rearrange((channels, pixels), (1, 0), (pixels * channels // 6, 6)))


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
    "conv 3x3, dilated": ((8, 9, 11), lambda s: s.conv("x", 12, 3, (1, 1), "same", dilation=(2, 2))),
    "conv 3x3, dilated, stride 2": ((8, 12, 11), lambda s: s.conv("x", 12, 3, (2, 2), SAME, dilation=(2, 3))),
    "depthwise 3x3, dilated": ((8, 9, 11), lambda s: s.conv("x", None, 3, (1, 1), "same", RELU6, dilation=(2, 2))),
    "depthwise 3x3, dilated, padded": ((8, 9, 11), lambda s: s.conv("x", None, 3, (1, 1), SAME, dilation=(3, 2))),
    "first conv": (IMAGE, lambda s: s.conv("x", 16, 3, (2, 2), Padding(1, 1, 1, 1), RELU6)),
    "first conv, same": (IMAGE, lambda s: s.conv("x", 16, 3, (2, 2), "same", RELU)),
    "depthwise 3x3, same": ((8, 9, 11), lambda s: s.conv("x", None, 3, (1, 1), "same", RELU6)),
    "depthwise 3x3, valid": ((8, 9, 11), lambda s: s.conv("x", None, 3)),
    "depthwise 3x3, symmetric, stride 2": ((8, 9, 12), lambda s: s.conv("x", None, 3, (2, 2), Padding(1, 1, 1, 1))),
    "depthwise 3x3, same, stride 2": ((8, 9, 12), lambda s: s.conv("x", None, 3, (2, 2), "same")),
    "depthwise 5x5, same": ((8, 9, 11), lambda s: s.conv("x", None, 5, (1, 1), "same")),
    "depthwise 5x5, symmetric, stride 2": ((8, 9, 11), lambda s: s.conv("x", None, 5, (2, 2), Padding(2, 2, 2, 2))),
    "depthwise 3x3, per tensor": ((8, 9, 11), lambda s: s.conv("x", None, 3, per_tensor=True)),
    "depthwise 1x1": ((8, 9, 11), lambda s: s.conv("x", None, clamp=RELU)),
    "two outputs a channel": ((8, 9, 11), lambda s: s.conv("x", 16, 3, (1, 1), "same", groups=8)),
    "three outputs a channel": ((5, 9, 12), lambda s: s.conv("x", 15, 5, (2, 2), Padding(2, 2, 2, 2), groups=5)),
    "2 groups": ((8, 9, 11), lambda s: s.conv("x", 12, 3, (1, 1), "same", RELU6, groups=2)),
    "2 groups, 1x1": ((48, 9, 11), lambda s: s.conv("x", 24, groups=2)),
    "8 groups of 4": ((32, 9, 11), lambda s: s.conv("x", 32, 3, (1, 1), SAME, groups=8)),
    "6 groups of 2": ((12, 9, 11), lambda s: s.conv("x", 12, 3, (1, 1), SAME, groups=6)),
    "5 groups of 4, stride 2": ((20, 9, 11), lambda s: s.conv("x", 20, 3, (2, 2), SAME, groups=5)),
    "3 groups of 8 to 16": ((24, 9, 12), lambda s: s.conv("x", 48, 3, (2, 2), "same", groups=3)),
    "4 groups, dilated": ((16, 9, 11), lambda s: s.conv("x", 8, 3, (1, 1), "same", groups=4, dilation=(2, 2))),
    "linear": ((40,), lambda s: s.linear("x", 10)),
    "linear, 1280 products": ((1280,), lambda s: s.linear("x", 10)),
    "linear, per tensor": ((40,), lambda s: s.linear("x", 10, per_tensor=True)),
    "add": ((8, 9, 11), lambda s: s.add("x", s.conv("x", 8))),
    "add, clamped": ((8, 9, 11), lambda s: s.add(s.conv("x", 8), s.conv("x", 8), RELU)),
    "add, sum of sums": ((8, 9, 11), lambda s: s.add(s.conv("x", 8), s.add("x", s.conv("x", 8)))),
    "add, constant": ((8, 9, 11), lambda s: s.add_constant("x", 3.0, RELU6)),
    "add, one number a channel": ((8, 9, 11), lambda s: s.add("x", s.mean("x"))),
    "add, one map": ((8, 9, 11), lambda s: s.add(s.conv("x", 8), s.conv("x", 1))),
    "add, one number": ((8, 9, 11), lambda s: s.add("x", s.mean(s.conv("x", 1)))),
    "add, an array": ((8, 9, 11), lambda s: s.add("x", s.array(8, 9, 11))),
    "add, a constant map": ((8, 9, 11), lambda s: s.add(s.conv("x", 8), s.array(1, 9, 11), RELU)),
    "add, an array to a vector": ((40,), lambda s: s.add("x", s.array(40))),
    "mul": ((8, 9, 11), lambda s: s.mul("x", s.conv("x", 8))),
    "mul, one map": ((8, 9, 11), lambda s: s.mul(s.conv("x", 8), s.conv("x", 1, clamp=RELU))),
    "mul, one number": ((8, 9, 11), lambda s: s.mul("x", s.mean(s.conv("x", 1)))),
    "mul, an array": ((8, 9, 11), lambda s: s.mul("x", s.array(8, 9, 11))),
    "mul, a constant row": ((8, 9, 11), lambda s: s.mul("x", s.array(1, 1, 11))),
    "mul, a number below 0": ((8, 9, 11), lambda s: s.times(s.mul("x", "x"), -0.7)),
    "mul, clamped": ((8, 9, 11), lambda s: s.add("x", s.times("x", -1.0, RELU))),
    "mul, vectors": ((40,), lambda s: s.mul("x", s.mul("x", s.array(40)))),
    "mul, hard-swish": ((8, 9, 11), lambda s: s.integer_hard_swish("x")),
    "mul, gate": ((8, 9, 11), lambda s: s.mul("x", s.mean("x"))),
    "mul, squeeze-and-excite": ((8, 9, 11), lambda s: s.squeeze_excite("x")),
    "sigmoid": ((8, 9, 11), lambda s: s.sigmoid(s.conv("x", 8))),
    "sigmoid of the input": ((8, 9, 11), lambda s: s.sigmoid("x")),
    "sigmoid of a vector": ((40,), lambda s: s.linear(s.sigmoid(s.linear("x", 6)), 10)),
    "sigmoid, scales that are fixed": ((8, 9, 11), lambda s: s.concat(s.sigmoid(s.add("x", s.conv("x", 8))), "x")),
    "SiLU": ((8, 9, 11), lambda s: s.conv(s.silu(s.conv("x", 8)), 4)),
    "squeeze-and-excite with a sigmoid": ((8, 9, 11), lambda s: s.conv(s.gated(s.silu(s.conv("x", 8))), 4)),
    "nearest, twice as large": ((8, 9, 11), lambda s: s.conv(s.resize(s.conv("x", 5), (18, 22), NEAREST), 4)),
    "nearest, by 3 and 7": ((8, 5, 4), lambda s: s.resize("x", (15, 28), NEAREST)),
    "nearest, by 8 and 1": ((8, 5, 4), lambda s: s.resize("x", (40, 4), NEAREST)),
    "nearest, of one pixel": ((8, 3, 4), lambda s: s.resize(s.mean("x"), (33, 5), NEAREST)),
    "bilinear, of one pixel": ((8, 3, 4), lambda s: s.resize(s.mean("x"), (3, 5), HALF_PIXEL)),
    "bilinear, twice as large": ((8, 9, 11), lambda s: s.conv(s.resize(s.conv("x", 5), (18, 22), HALF_PIXEL), 4)),
    "bilinear, by 4 and 8": ((8, 4, 3), lambda s: s.resize("x", (16, 24), HALF_PIXEL)),
    "bilinear, by 1/2 and 1": ((8, 12, 7), lambda s: s.resize("x", (6, 7), HALF_PIXEL)),
    "bilinear, asymmetric": ((8, 9, 11), lambda s: s.resize("x", (18, 44), ASYMMETRIC)),
    "bilinear, corners aligned": ((8, 9, 5), lambda s: s.resize("x", (17, 17), ALIGNED)),
    "mean of 49": ((8, 7, 7), lambda s: s.mean("x")),
    "mean of 16, axes dropped": ((8, 4, 4), lambda s: s.mean("x", keep_dims=False)),
    "mean of 1": ((8, 1, 1), lambda s: s.mean("x", keep_dims=False)),
    "pad": ((8, 9, 11), lambda s: s.pad("x", Padding(1, 2, 0, 3))),
    "pad, then conv": ((8, 9, 11), lambda s: s.conv(s.pad("x", Padding(1, 1, 1, 1)), 12, 3)),
    "flatten": ((8, 1, 1), lambda s: s.flatten("x")),
    "mean, flatten, linear": ((8, 7, 7), lambda s: s.linear(s.flatten(s.mean("x")), 10)),
    "concat": ((8, 9, 11), lambda s: s.concat(s.conv("x", 8, clamp=RELU6), s.conv("x", 5, clamp=RELU6))),
    "concat, other clamps": ((8, 9, 11), lambda s: s.concat(s.conv("x", 8, clamp=RELU6), s.conv("x", 4), "x")),
    "concat, scales that are fixed": ((8, 9, 11), lambda s: s.concat(s.add("x", s.conv("x", 8)), s.mul("x", "x"))),
    "concat of vectors": ((40,), lambda s: s.linear(s.concat(s.linear("x", 6), s.linear("x", 7)), 10)),
    "concat of itself, padded": ((8, 9, 11), lambda s: s.pad(s.concat("x", "x"), Padding(1, 0, 0, 1))),
    "concat of concats": ((8, 9, 11), concats),
    "max pool": ((8, 9, 11), lambda s: s.max_pool("x", 3, 2)),
    "max pool, stride 1": ((8, 9, 11), lambda s: s.max_pool("x", 5, 1, Padding(2, 2, 2, 2))),
    "max pool, as TensorFlow pads": ((8, 10, 11), lambda s: s.max_pool("x", 3, 2, Padding(0, 1, 1, 1))),
    "max pool behind ReLU, padded": ((8, 10, 12), lambda s: s.max_pool(s.conv("x", 8, clamp=RELU), 3, 2, SAME)),
    "max pool, padded": ((8, 9, 11), lambda s: s.conv(s.max_pool(s.conv("x", 8), 3, 2, Padding(1, 1, 0, 1)), 4)),
    "max pool of everything": ((8, 9, 9), lambda s: s.conv(s.max_pool("x", 9, 1), 12)),
    "max pool, padded by more than half": (
        (8, 9, 11), lambda s: s.max_pool(s.conv("x", 8, clamp=RELU), 3, 2, Padding(2, 2, 2, 2))
    ),
    "channels": ((8, 9, 11), lambda s: s.conv(s.slice("x", slice(2, 7), slice(None), slice(None)), 4)),
    "every second channel": ((8, 9, 11), lambda s: s.slice("x", slice(1, None, 2), slice(None), slice(None))),
    "a crop": ((8, 9, 11), lambda s: s.slice("x", slice(None), slice(1, 8), slice(2, 9))),
    "every second pixel": ((8, 10, 12), lambda s: s.slice("x", slice(None), slice(0, None, 2), slice(1, None, 2))),
    "every third row, of a part": ((8, 9, 11), lambda s: s.slice("x", slice(1, 5), slice(3, None, 3), slice(2, 9))),
    "some numbers of rows": ((12, 4, 5), lambda s: s.slice(rows(s, "x"), slice(5, 30), slice(None, 4))),
    "concat of rows": ((12, 4, 5), lambda s: s.concat(rows(s, "x"), rows(s, s.conv("x", 12)), axis=0)),
    "concat of the numbers of rows": ((12, 4, 5), lambda s: s.concat(*[rows(s, "x")] * 2, axis=1)),
    "concat of columns": ((8, 9, 11), lambda s: s.conv(s.concat("x", s.conv("x", 8), axis=2), 4)),
    "concat of many": ((4, 5, 6), lambda s: s.concat(*(s.conv("x", 2 + i) for i in range(7)))),
    "pad of channels": ((8, 9, 11), lambda s: s.node(Pad(Padding(1, 0, 0, 1), (2, 3)), ("x",))),
    "channel shuffle": (
        (8, 9, 11), lambda s: s.conv(s.rearrange(s.conv("x", 8), Rearrange((2, 4, 9, 11), (1, 0, 2, 3), (8, 9, 11))), 4)
    ),
    "depth to space": (
        (12, 6, 5), lambda s: s.rearrange("x", Rearrange((2, 2, 3, 6, 5), (2, 3, 0, 4, 1), (3, 12, 10)))
    ),
    "pixel shuffle": (
        (12, 6, 5), lambda s: s.rearrange("x", Rearrange((3, 2, 2, 6, 5), (0, 3, 1, 4, 2), (3, 12, 10)))
    ),
    "space to depth": (
        (3, 6, 8), lambda s: s.rearrange("x", Rearrange((3, 3, 2, 4, 2), (0, 2, 4, 1, 3), (12, 3, 4)))
    ),
    "rows of a head": ((18, 4, 5), lambda s: s.rearrange(s.conv("x", 18), Rearrange((18, 20), (1, 0), (60, 6)))),
    "rows by anchor": ((18, 4, 5), lambda s: s.rearrange("x", Rearrange((3, 6, 20), (0, 2, 1), (60, 6)))),
    "four axes": ((18, 4, 5), lambda s: s.rearrange("x", Rearrange((3, 6, 20), (0, 2, 1), (3, 4, 5, 6)))),
    "transpose": ((6, 4, 5), lambda s: s.rearrange("x", Rearrange.transpose((6, 4, 5), (2, 1, 0)))),
    "reshape of channels and rows": ((6, 4, 5), lambda s: s.rearrange("x", Rearrange.reshape((3, 8, 5)))),
    "flatten of a feature map": ((6, 4, 5), lambda s: s.linear(s.rearrange("x", Rearrange.reshape((120,))), 10)),
    "block of V2": ((3, 32, 32), v2_block),
    "block of V3": ((3, 32, 32), v3_block),
}  # fmt: skip


FLOAT_CASES: dict[str, tuple[tuple[int, ...], Build]] = {
    **INTEGER_CASES,
    "hard-swish": ((8, 9, 11), lambda s: s.hard_swish("x")),
    "softmax of channels": ((8, 9, 11), lambda s: s.softmax(s.conv("x", 5))),
    "softmax of a vector": ((40,), lambda s: s.softmax(s.linear("x", 6))),
    "softmax of rows": ((6, 4, 4), lambda s: s.softmax(s.rearrange("x", Rearrange((3, 2, 16), (0, 2, 1), (48, 2))), 2)),
    "leaky ReLU": ((8, 9, 11), lambda s: s.leaky_relu("x", 0.1)),
    "PReLU": ((8, 9, 11), lambda s: s.prelu(s.conv("x", 6))),
    "PReLU of a vector": ((40,), lambda s: s.prelu("x")),
    "average pool": ((8, 9, 11), lambda s: s.average_pool("x", (2, 3), (2, 1), clamp=RELU)),
    "average pool, padded": ((8, 9, 11), lambda s: s.average_pool("x", (3, 3), (2, 2), SAME)),
    "average pool, on one side": (
        (8, 9, 11),
        lambda s: s.average_pool("x", (3, 2), (1, 1), Padding(2, 0, 0, 1), RELU6),
    ),
    "hard-swish, a block": ((3, 32, 32), hard_swish_block),
}
# Other weights and scales show the same again, in some: ``edgekit.benchmarks.identity`` draws any number of networks.
CASES = [*((name, 0) for name in INTEGER_CASES), *((name, 1) for name in list(INTEGER_CASES)[::4])]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """The networks are so small that torch's threads would mostly wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session", params=CASES, ids=str)
def integer_case(request: pytest.FixtureRequest) -> tuple[IntegerModel, NDArray[np.int8], NDArray[np.int8]]:
    """Each network, some with two seeds: the model, stored inputs [N, ...], and what the reference makes of them."""
    name, seed = request.param
    model = integer_network(name, seed)
    stored = stored_images(model)
    return model, stored, Reference(model).run(stored)["logits"]


@pytest.fixture(scope="session", params=INTEGER_CASES)
def any_integer_model(request: pytest.FixtureRequest) -> IntegerModel:
    """Each network, with one seed."""
    return integer_network(request.param, seed=0)


@pytest.fixture(scope="session", params=INTEGER_CASES)
def mixed_case(request: pytest.FixtureRequest) -> tuple[IntegerModel, NDArray[np.int8], NDArray[Any]]:
    """As ``integer_case``, with some layers, chosen at random, kept in float."""
    model = mixed_network(request.param, seed=4)
    stored = stored_images(model)
    return model, stored, Reference(model).run(stored)["logits"]


@pytest.fixture(scope="session", params=[name for name in INTEGER_CASES if "per tensor" not in name])
def int16_case(request: pytest.FixtureRequest) -> tuple[IntegerModel, NDArray[np.int8], NDArray[Any]]:
    """As ``mixed_case``, with 16-bit activations for some layers; one in five of the others stays in float."""
    s = sketched(request.param, seed=6)
    names = [node.name for node in s.nodes]
    wide = s.random.choice(names, s.random.integers(1, len(names) + 1), replace=False).tolist()
    kept = [name for name in names if name not in wide and s.random.random() < 0.2]
    model = s.integer_model(kept, wide)
    stored = stored_images(model)
    return model, stored, Reference(model).run(stored)["logits"]


@pytest.fixture(scope="session", params=FLOAT_CASES)
def float_case(request: pytest.FixtureRequest) -> tuple[FloatModel, NDArray[np.float32], NDArray[np.float32]]:
    """Each network in float: the model, inputs [N, ...], and what torch makes of them."""
    shape, build = FLOAT_CASES[request.param]
    s = FloatSketch(shape)
    build(s)
    model, images = s.float_model(), s.images(3)
    return model, images, FloatExecutor(model.graph)(torch.from_numpy(images))["logits"].numpy()


@pytest.fixture(scope="session", params=["block of V2", "block of V3"])
def integer_block(request: pytest.FixtureRequest) -> tuple[IntegerModel, NDArray[np.int8], NDArray[np.int8]]:
    """As ``integer_case``, the two that resemble whole networks."""
    model = integer_network(request.param, seed=2)
    stored = stored_images(model)
    return model, stored, Reference(model).run(stored)["logits"]


@pytest.fixture(scope="session")
def integer_model() -> IntegerModel:
    """Any integer model."""
    return integer_network("block of V2", seed=3)


@pytest.fixture(scope="session")
def float_model() -> FloatModel:
    """Any float model."""
    s = FloatSketch((3, 32, 32))
    hard_swish_block(s)
    return s.float_model()


@pytest.fixture(scope="session")
def mixed_block() -> IntegerModel:
    """A whole network with some layers kept in float, the last one not among them."""
    s = FloatSketch((3, 32, 32), seed=5)
    v3_block(s)
    return s.integer_model(MIXED_BLOCK)


@pytest.fixture(scope="session")
def assert_near() -> Callable[[IntegerModel, NDArray[Any], NDArray[Any]], None]:
    """Assert that an output is the reference's but for the last bits of float kernels, or of 16-bit ones."""

    def check(model: IntegerModel, found: NDArray[Any], expected: NDArray[Any]) -> None:
        int16 = bool(model.int16_nodes)
        if model.graph.output_tensors[0] in model.params:
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


def sketched(name: str, seed: int) -> FloatSketch:
    shape, build = INTEGER_CASES[name]
    s = FloatSketch(shape, seed)
    build(s)
    return s
