"""Layers with 16-bit activations: scales of TFLite's 16x8 scheme, and what they gain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.calibration.assignment import quantize
from edgekit.calibration.options import Options
from edgekit.calibration.ranges import Range
from edgekit.executor.integer import IntegerExecutor
from edgekit.float_model import FloatModel
from edgekit.ir import Add, Clamp, Conv2d, Graph, Linear, Mean, Mul, Node, Output, Pad, Padding, Rearrange, Tensor
from edgekit.preprocessing import Preprocessing
from edgekit.reference.float import FloatReference
from edgekit.reference.integer import Reference

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.integer_model import IntegerModel

torch = pytest.importorskip("torch")

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 12, 12, 3), np.uint8)
NODES = (
    Node("stem", Conv2d((2, 2), Padding(0, 1, 0, 1)), ("x", "stem.weight", "stem.bias"), "stem", Clamp(-0.5)),
    Node("shift", Add(), ("stem", "three"), "shift", Clamp(0.0, 3.2)),
    Node("swish", Mul(), ("stem", "shift"), "swish"),
    Node("pad", Pad(Padding(1, 1, 1, 1)), ("swish",), "pad"),
    Node("deep", Conv2d(groups=8), ("pad", "deep.weight", "deep.bias"), "deep", Clamp(0.0)),
    Node("pool", Mean(), ("deep",), "pool"),
    Node("flat", Rearrange.reshape((8,)), ("pool",), "flat"),
    Node("head", Linear(), ("flat", "head.weight", "head.bias"), "head"),
)
SHAPES = {
    "x": (3, 12, 12), "stem": (8, 6, 6), "shift": (8, 6, 6), "swish": (8, 6, 6), "pad": (8, 8, 8), "deep": (8, 6, 6),
    "pool": (8, 1, 1), "flat": (8,), "head": (5,),
}  # fmt: skip
WEIGHTS = {"stem": (8, 3, 3, 3), "deep": (8, 1, 3, 3), "head": (5, 8)}
ALL = tuple(node.name for node in NODES)


def network() -> tuple[FloatModel, dict[str, Range]]:
    random = np.random.default_rng(0)
    constants = {"three": np.array([3.0], np.float32)}
    for name, shape in WEIGHTS.items():
        constants[f"{name}.weight"] = random.normal(0, 0.3, shape).astype(np.float32)
        constants[f"{name}.bias"] = random.normal(0, 0.3, shape[0]).astype(np.float32)
    tensors = {name: Tensor(name, shape) for name, shape in SHAPES.items()}
    model = FloatModel(
        Graph("tiny", "x", (Output.logits("head"),), NODES, tensors, constants), Preprocessing((12, 12), None)
    )
    values = FloatReference(model.graph).run_all(model.preprocessing.normalization(PIXELS))
    return model, {name: Range(min(v.min(), 0.0), max(v.max(), 0.0)) for name, v in values.items()}


def quantized(*int16: str, keep_float: tuple[str, ...] = (), per_tensor_weights: bool = False) -> IntegerModel:
    model, ranges = network()
    del ranges["x"]  # its pixels need none, wherever they go
    return quantize(model, ranges, Options(int16=int16, keep_float=keep_float, per_tensor_weights=per_tensor_weights))


def error(model: IntegerModel) -> float:
    """Of the logits, relative to their size."""
    output = model.graph.output_tensors[0]
    found = model.real(output, Reference(model).run(model.encode(PIXELS))["logits"])
    source, _ = network()
    expected = FloatReference(source.graph).run(source.preprocessing.normalization(PIXELS))["logits"]
    return float(np.sqrt(((found - expected) ** 2).mean() / (expected**2).mean()))


@pytest.mark.parametrize("per_tensor_weights", [True, False])
def test_the_16x8_scheme(*, per_tensor_weights: bool) -> None:
    model = quantized(*ALL, per_tensor_weights=per_tensor_weights)
    source, ranges = network()
    assert [node.name for node in model.int16_nodes] == list(ALL)
    assert (model.lowering, model.exact, model.provenance) == ("mixed", False, {"int16": list(ALL)})
    assert model.ratios == {}
    for node in model.int16_nodes:
        params = model.params[node.output]
        assert (params.bits, params.zero_point, params.dtype) == (16, 0, np.int16)
        assert node.activation == next(n.activation for n in NODES if n.name == node.name)
    assert model.params["head"].scale[0] * 32767 == pytest.approx(max(-ranges["head"].low, ranges["head"].high))
    assert model.params["shift"].scale[0] * 32767 == pytest.approx(min(ranges["shift"].high, 3.2))
    assert model.params["pad"].scale == model.params["swish"].scale
    assert model.graph.constants["three"].dtype == np.int16
    for name in ("deep", "head"):
        weight, bias = model.graph.constants[f"{name}.weight"], model.graph.constants[f"{name}.bias"]
        assert weight.dtype == np.int8
        assert bias.dtype == np.int32
        assert model.params[f"{name}.weight"].scale.size == (1 if per_tensor_weights else len(weight))
        node = next(node for node in model.graph if node.name == name)
        for constant in node.inputs[1:]:
            steps = model.params[f"{name}.weight"].scale.max() / 2
            off = np.abs(model.real_constant(node, constant) - source.graph.constants[constant])
            assert off.max() <= steps * 1.001


def test_pixels_become_16_bits_exactly() -> None:
    model = quantized("stem")
    wide = Reference(model).run_all(model.encode(PIXELS))["x.int16"]
    np.testing.assert_array_equal(model.real("x.int16", wide), model.real("x", model.encode(PIXELS)))


def test_more_bits_are_more_precise() -> None:
    assert error(quantized(*ALL)) < error(quantized("stem", "shift", "swish")) < error(quantized())
    assert error(quantized(*ALL)) < 0.01


@pytest.mark.parametrize("seed", range(8))
def test_the_executor_is_within_a_step(seed: int) -> None:
    kinds = np.random.default_rng(seed).integers(0, 3, len(ALL))
    int16, kept = ([name for name, kind in zip(ALL, kinds, strict=True) if kind == wanted] for wanted in (1, 2))
    model = quantized(*int16, keep_float=tuple(kept))
    stored = model.encode(PIXELS)
    expected = Reference(model).run_all(stored)
    seen: dict[str, NDArray[Any]] = {}
    IntegerExecutor(model)(torch.from_numpy(stored), observe=lambda n, v: seen.setdefault(n, v.numpy().copy()))
    for name, array in expected.items():
        if name in model.params:
            assert seen[name].dtype == array.dtype == model.params[name].dtype
            assert np.abs(seen[name].astype(int) - array).max() <= (1 if array.dtype == np.int8 else 256)
        else:
            np.testing.assert_allclose(seen[name], array, atol=0.02)


def test_a_dead_channel_keeps_its_bias() -> None:
    model, ranges = network()
    model.graph.constants["head.weight"][2] = 0
    made = quantize(model, ranges, Options(int16=["head"]))
    node = next(node for node in made.graph if node.name == "head")
    assert made.real_constant(node, "head.bias")[2] == pytest.approx(model.graph.constants["head.bias"][2], rel=1e-6)
