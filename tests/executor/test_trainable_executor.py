"""The trainable executor against the integer executor: what it computes while it learns is what will be deployed."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from edgekit.calibration.assignment import quantize
from edgekit.calibration.options import Options
from edgekit.executor.integer import IntegerExecutor
from edgekit.executor.trainable import TrainableExecutor, round_straight_through
from edgekit.integer_model import IntegerModel
from edgekit.ir import Graph, Linear, Node, Output, Tensor
from edgekit.ir.operators.resize import HALF_PIXEL, NEAREST
from edgekit.models.families.mobilenet_v3_digits import mobilenet_v3_digits
from edgekit.preprocessing import Preprocessing
from edgekit.quantization import QuantParams, Ratio
from tests.networks import FloatSketch, with_ranges

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.calibration.ranges import Range
    from edgekit.float_model import FloatModel

SIZE = 32
PIXELS = np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE, 3), np.uint8)


@functools.cache
def network() -> tuple[FloatModel, dict[str, Range]]:
    """A network with every operator of MobileNetV3, and ranges that clip a little."""
    return with_ranges(mobilenet_v3_digits(), PIXELS, clipped=0.001)


def shown(executor: IntegerExecutor, stored: NDArray[np.int8]) -> dict[str, NDArray[np.generic]]:
    seen: dict[str, NDArray[np.generic]] = {}
    executor(torch.from_numpy(stored), observe=lambda name, value: seen.setdefault(name, value.detach().numpy().copy()))
    return seen


@pytest.mark.parametrize("keep_float", [(), ("features.2", "classifier.3")], ids=["integers", "mixed"])
def test_it_shows_what_will_be_deployed(keep_float: tuple[str, ...]) -> None:
    model = quantize(*network(), Options(keep_float=keep_float))
    executor, stored = TrainableExecutor(model), model.encode(PIXELS)
    for key, array in executor.integer_model().graph.constants.items():
        np.testing.assert_array_equal(array, model.graph.constants[key], err_msg=key)

    random = torch.Generator().manual_seed(0)
    with torch.no_grad():  # as far as no training comes: some weights leave int8, some layers saturate
        for latent in executor.latent.values():
            latent.add_(20 * torch.randn(latent.shape, generator=random, dtype=latent.dtype))
    learned = executor.integer_model()
    found, expected = shown(executor, stored), shown(IntegerExecutor(learned), stored)
    del found[model.graph.input], expected[model.graph.input]  # shown as it is given
    assert list(found) == list(expected)
    for tensor, value in expected.items():
        params = learned.params.get(tensor)
        real = value if params is None else params.dequantize(value.astype(np.int8))
        np.testing.assert_array_equal(found[tensor], real, err_msg=tensor)
    changed = [key for key, array in learned.graph.constants.items() if (array != model.graph.constants[key]).any()]
    assert sorted(changed) == sorted(key.replace("/", ".") for key in executor.latent)


def test_weights_stay_within_seven_bits() -> None:
    executor = TrainableExecutor(quantize(*network(), Options(weight_bits=7)))
    with torch.no_grad():
        for latent in executor.latent.values():
            latent.add_(20 * torch.sign(latent))
    learned = executor.integer_model()
    weights = [array for array in learned.graph.constants.values() if array.dtype == np.int8 and array.ndim > 1]
    assert max(np.abs(array.astype(int)).max() for array in weights) == 64


def test_gradients_are_those_of_the_clamp_without_the_rounding() -> None:
    """One layer, [2] -> [3]: in the second channel the output saturates, in the third a weight does."""
    ratio = Ratio.of((1, 101), (1, 11), (2, 203))
    constants: dict[str, NDArray[Any]] = {
        "w": np.array([[50, -30], [127, 127], [20, 127]], np.int8),
        "b": np.array([400, 9000, -350], np.int32),
    }
    params = {
        "x": QuantParams(np.array([0.5], np.float32), -28),
        "y": QuantParams(np.array([0.25], np.float32), 5),
        "w": QuantParams(np.ones(3, np.float32)),
    }
    tensors = {"x": Tensor("x", (2,)), "y": Tensor("y", (3,))}
    graph = Graph("one", "x", (Output.logits("y"),), (Node("n", Linear(), ("x", "w", "b"), "y"),), tensors, constants)
    preprocessing = Preprocessing((1, 1), None)
    model = IntegerModel(graph, params, {"n": ratio}, preprocessing, preprocessing.normalization, pixel_input=False)
    executor = TrainableExecutor(model)
    weight, bias = executor.latent["w"], executor.latent["b"]
    with torch.no_grad():
        weight[2, 1] = 140.0
        weight[0, 0] += 0.3  # below the next integer
    executor(torch.tensor([[12, 2]], dtype=torch.int8))["logits"].sum().backward()
    assert weight.grad is not None
    assert bias.grad is not None
    x = np.array([40.0, 30.0])
    slope = 0.25 * ratio.value[:, None] * x  # of a real output: scale, ratio, input
    np.testing.assert_allclose(weight.grad, [slope[0], [0, 0], [slope[2][0], 0]], rtol=1e-6)
    np.testing.assert_allclose(bias.grad, [0.25, 0, 0.25], rtol=1e-6)  # in steps of the output


@pytest.mark.parametrize("mode", [NEAREST, HALF_PIXEL])
def test_gradients_pass_through_curves_and_resizes(mode: str) -> None:
    """They are those of the real operators, but for the rounding of their integers."""
    s = FloatSketch((3, 5, 4))
    s.conv(s.resize(s.silu(s.conv("x", 4)), (10, 8), mode), 2)
    model = s.integer_model()
    executor = TrainableExecutor(model)
    stored = torch.from_numpy(model.params["x"].quantize(s.images(4)))
    found = executor(stored)["logits"]
    deployed = IntegerExecutor(model)(stored)["logits"]
    params = model.params[model.graph.output_tensors[0]]
    np.testing.assert_array_equal(found.detach(), params.dequantize(deployed.numpy()))
    found.square().sum().backward()

    weight, bias = (torch.from_numpy(s.constants[f"layer.0.{role}"]) for role in ("weight", "bias"))
    x = model.params["x"].scale[0] * (stored.float() - model.params["x"].zero_point)
    weight.requires_grad_()
    y = torch.nn.functional.silu(torch.nn.functional.conv2d(x, weight, bias))
    y = torch.nn.functional.interpolate(y, (10, 8), mode="bilinear" if mode == HALF_PIXEL else "nearest")
    last, shift = (torch.from_numpy(s.constants[f"{s.nodes[-1].name}.{role}"]) for role in ("weight", "bias"))
    y = torch.nn.functional.conv2d(y, last, shift)
    y.square().sum().backward()  # type: ignore[no-untyped-call] # torch declares no types here
    learned, real = executor.latent["layer/0/weight"].grad, weight.grad
    assert learned is not None
    assert real is not None
    scaled = learned / torch.from_numpy(model.params["layer.0.weight"].scale).reshape(-1, 1, 1, 1)
    assert torch.corrcoef(torch.stack([scaled.flatten(), real.flatten()]))[0, 1] > 0.99


def test_rounding_half_to_even() -> None:
    x = torch.tensor([0.5, 1.5, -0.5, 2.4], requires_grad=True)
    y = round_straight_through(x)
    y.sum().backward()  # type: ignore[no-untyped-call] # torch declares no types here
    assert y.tolist() == [0.0, 2.0, 0.0, 2.0]
    assert x.grad is not None
    assert x.grad.tolist() == [1.0] * 4
