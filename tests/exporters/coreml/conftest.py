"""Small networks, made by hand: every operator, every kind of zero point, names that no program may use."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import math
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.float_model import FloatModel
from edgekit.integer_model import IntegerModel
from edgekit.ir import (
    Add,
    Clamp,
    Conv2d,
    Graph,
    HardSwish,
    Linear,
    Mean,
    Mul,
    Node,
    Output,
    Pad,
    Padding,
    Rearrange,
    Tensor,
)
from edgekit.preprocessing import Normalization, Preprocessing
from edgekit.quantization import QuantParams

if TYPE_CHECKING:
    from numpy.typing import NDArray

LABELS = ("cat", "dog", "größe", "日本")
PREPROCESSING = Preprocessing((16, 12), None, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
RELU, RELU6 = Clamp(0.0), Clamp(0.0, 6.0)

_NODES = (
    Node("features.0.0", Conv2d((2, 2), Padding(0, 1, 0, 1)), ("x", "0.weight", "0.bias"), "features.0.0", RELU6),
    Node(
        "features.0.1", Conv2d((1, 1), Padding(1, 1, 1, 1), 16), ("features.0.0", "1.weight", "1.bias"), "features_0_0"
    ),
    Node("shift", Add(), ("features_0_0", "three"), "shift", RELU6),
    Node("swish", Mul(), ("features_0_0", "shift"), "swish"),
    Node("squeeze", Mean(), ("swish",), "squeeze"),
    Node("reduce", Conv2d(), ("squeeze", "2.weight", "2.bias"), "reduce", RELU),
    Node("expand", Conv2d(), ("reduce", "3.weight", "3.bias"), "expand", Clamp(0.0, 1.0)),
    Node("scale", Mul(), ("swish", "expand"), "tensor"),
    Node("residual", Add(), ("tensor", "features_0_0"), "residual"),
    Node("pad", Pad(Padding(0, 1, 1, 0)), ("residual",), "pad"),
    Node("down", Conv2d((2, 2), groups=16), ("pad", "4.weight", "4.bias"), "down", Clamp(-1.0)),
    Node("pool", Mean(), ("down",), "pool"),
    Node("flatten", Rearrange.reshape((16,)), ("pool",), "flatten"),
    Node("classifier", Linear(), ("flatten", "5.weight", "5.bias"), "logits"),
)
_SHAPES = {
    "x": (3, 16, 12), "features.0.0": (16, 8, 6), "features_0_0": (16, 8, 6), "shift": (16, 8, 6), "swish": (16, 8, 6),
    "squeeze": (16, 1, 1), "reduce": (8, 1, 1), "expand": (16, 1, 1), "tensor": (16, 8, 6), "residual": (16, 8, 6),
    "pad": (16, 9, 7), "down": (16, 4, 3), "pool": (16, 1, 1), "flatten": (16,), "logits": (4,),
}  # fmt: skip
_WEIGHTS = {
    "0": (16, 3, 3, 3), "1": (16, 1, 3, 3), "2": (8, 16, 1, 1), "3": (16, 8, 1, 1), "4": (16, 1, 3, 3), "5": (4, 16)
}  # fmt: skip
_ZERO_POINTS = {
    "x": -4, "features.0.0": -128, "features_0_0": 0, "shift": -128, "swish": -101, "squeeze": -99, "reduce": -128,
    "expand": -128, "tensor": 127, "residual": 3, "pad": 3, "down": -71, "pool": -71, "flatten": -71, "logits": -9,
}  # fmt: skip


def _graph(constants: dict[str, NDArray[Any]]) -> Graph:
    tensors = {name: Tensor(name, shape) for name, shape in _SHAPES.items()}
    return Graph("tiny", "x", (Output.logits("logits"),), _NODES, tensors, constants)


@pytest.fixture(autouse=True)
def _coremltools_is_installed() -> None:
    if importlib.util.find_spec("coremltools") is None:
        pytest.skip("coremltools is not installed: pip install 'edgekit[coreml]'")


@pytest.fixture(scope="session")
def coremltools() -> Any:
    """All of coremltools. It warns of versions that it was not tested with and of missing parts of macOS."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module("coremltools")
    finally:
        logging.disable(logging.NOTSET)


@pytest.fixture(scope="session")
def integer_model() -> IntegerModel:
    """Arbitrary integers and scales; its ratios are left out, since no exporter of QDQ programs reads them."""
    rng = np.random.default_rng(0)
    params = {
        name: QuantParams(rng.uniform(0.01, 0.1, 1).astype(np.float32), zero_point)
        for name, zero_point in _ZERO_POINTS.items()
    }
    params["x"] = QuantParams(np.array([1 / 57], np.float32), -4)
    for same in ("pad", "residual"), ("pool", "down"), ("flatten", "down"):
        params[same[0]] = params[same[1]]
    constants: dict[str, NDArray[Any]] = {"three": np.array([127], np.int8)}
    params["three"] = QuantParams(np.array([3 / 127], np.float32))
    for name, shape in _WEIGHTS.items():
        channels = 1 if name == "4" else shape[0]  # one network may hold weights of both kinds
        constants[f"{name}.weight"] = rng.integers(-127, 128, shape).astype(np.int8)
        constants[f"{name}.bias"] = rng.integers(-(2**20), 2**20, shape[0]).astype(np.int32)
        params[f"{name}.weight"] = QuantParams(rng.uniform(0.001, 0.01, channels).astype(np.float32))
    graph = _graph(constants)
    return IntegerModel(
        graph=graph.with_nodes([replace(node, activation=None) for node in graph]),
        params=params,
        ratios={},
        preprocessing=PREPROCESSING,
        normalization=Normalization((124.0,) * 3, (57.0,) * 3),
        pixel_input=True,
        labels=LABELS,
        provenance={"checkpoint": "none"},
    )


@pytest.fixture(scope="session")
def float_model() -> FloatModel:
    """The same network in float, with fused clamps and a hard-swish."""
    rng = np.random.default_rng(1)
    constants: dict[str, NDArray[Any]] = {"three": np.array([3], np.float32)}
    for name, shape in _WEIGHTS.items():
        constants[f"{name}.weight"] = rng.normal(0, 0.3, shape).astype(np.float32)
        constants[f"{name}.bias"] = rng.normal(0, 1, shape[0]).astype(np.float32)
    graph = _graph(constants)
    nodes = [replace(node, op=HardSwish(), inputs=node.inputs[:1]) if node.name == "swish" else node for node in graph]
    assert any(node.activation == Clamp(-1.0, math.inf) for node in nodes)
    return FloatModel(graph.with_nodes(nodes), PREPROCESSING, LABELS, {"checkpoint": "none"})
