"""Float files against torch's eager operators, and what float16 costs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from edgekit.exporters.metadata import Precision
from edgekit.exporters.torch.codec import read, write_float_model
from edgekit.float_model import FloatModel
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
from edgekit.preprocessing import Preprocessing
from edgekit.runtimes.torch import TorchRunner

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


@pytest.fixture
def model() -> FloatModel:
    """Every operator and every kind of clamp."""
    random = np.random.default_rng(0)

    def normal(*shape: int) -> NDArray[np.float32]:
        return (random.normal(size=shape) / 3).astype(np.float32)

    nodes = (
        Node("stem", Conv2d((2, 2), Padding(0, 1, 0, 1)), ("image", "stem.w", "stem.b"), "a", Clamp(0.0, math.inf)),
        Node("depthwise", Conv2d((1, 1), Padding(1, 1, 1, 1), 8), ("a", "dw.w", "dw.b"), "b", Clamp(0.0, 6.0)),
        Node("swish", HardSwish(), ("b",), "c"),
        Node("gate", Mean(keep_dims=True), ("c",), "d"),
        Node("shift", Add(), ("d", "three"), "e", Clamp(-1.0, math.inf)),
        Node("scale", Mul(), ("c", "e"), "f"),
        Node("frame", Pad(Padding(1, 0, 2, 0)), ("f",), "g"),
        Node("sum", Add(), ("g", "g"), "h"),
        Node("pool", Mean(keep_dims=True), ("h",), "i"),
        Node("flat", Rearrange.reshape((8,)), ("i",), "j"),
        Node("classifier", Linear(), ("j", "fc.w", "fc.b"), "logits"),
    )
    shapes = {
        "image": (3, 12, 10), "a": (8, 6, 5), "b": (8, 6, 5), "c": (8, 6, 5), "d": (8, 1, 1), "e": (8, 1, 1),
        "f": (8, 6, 5), "g": (8, 7, 7), "h": (8, 7, 7), "i": (8, 1, 1), "j": (8,), "logits": (5,),
    }  # fmt: skip
    constants = {
        "stem.w": normal(8, 3, 3, 3), "stem.b": normal(8), "dw.w": normal(8, 1, 3, 3), "dw.b": normal(8),
        "three": np.array(3.0, np.float32), "fc.w": normal(5, 8), "fc.b": normal(5),
    }  # fmt: skip
    tensors = {name: Tensor(name, shape) for name, shape in shapes.items()}
    graph = Graph("tiny", "image", (Output.logits("logits"),), nodes, tensors, constants)
    return FloatModel(graph, Preprocessing((12, 10), None), labels=("größe", "cat"))


def eager(model: FloatModel, batch: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the graph means, written by hand."""
    w = {name: torch.tensor(array) for name, array in model.graph.constants.items()}
    a = functional.conv2d(functional.pad(torch.tensor(batch), (0, 1, 0, 1)), w["stem.w"], w["stem.b"], stride=2).relu()
    b = functional.relu6(functional.conv2d(a, w["dw.w"], w["dw.b"], padding=1, groups=8))
    c = functional.hardswish(b)
    f = c * (c.mean((2, 3), keepdim=True) + 3).clamp_min(-1)
    h = 2 * functional.pad(f, (2, 0, 1, 0))
    result: NDArray[np.float32] = functional.linear(h.mean((2, 3)), w["fc.w"], w["fc.b"]).numpy()
    return result


def images() -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(size=(4, 3, 12, 10)).astype(np.float32)


@pytest.mark.parametrize(("precision", "tolerance"), [(Precision.FLOAT32, 1e-5), (Precision.FLOAT16, 1e-2)])
def test_outputs(model: FloatModel, precision: Precision, tolerance: float, tmp_path: Path) -> None:
    write_float_model(model, tmp_path / "tiny.pt", precision=precision)
    output = TorchRunner(tmp_path / "tiny.pt").run(images())["logits"]
    assert output.dtype == np.float32
    np.testing.assert_allclose(output, eager(model, images()), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("precision", [Precision.FLOAT32, Precision.FLOAT16])
def test_the_summary(model: FloatModel, precision: Precision, tmp_path: Path) -> None:
    write_float_model(model, tmp_path / "tiny.pt", precision=precision)
    summary = read(tmp_path / "tiny.pt")
    assert summary.operators == {
        "aten::conv2d": 2, "aten::relu": 1, "aten::clamp": 1, "aten::clamp_min": 1, "aten::hardswish": 1,
        "aten::mean": 2, "aten::add": 2, "aten::mul": 1, "aten::constant_pad_nd": 2, "aten::flatten": 1,
        "aten::linear": 1,
    }  # fmt: skip
    assert len(summary.float_operators) == 15
    assert summary.int8_share == 0.0
    assert summary.boundary == ()
    assert summary.inputs[0].shape == (-1, 3, 12, 10)
    assert summary.metadata is not None
    assert (summary.metadata.precision, summary.metadata.labels) == (precision, ("größe", "cat"))


def test_half_the_size(model: FloatModel, tmp_path: Path) -> None:
    big: dict[str, Any] = {**model.graph.constants, "fc.w": np.zeros((100_000, 8), np.float32)}
    wide = FloatModel(model.graph.with_nodes(model.graph.nodes, constants=big), model.preprocessing)
    sizes = {}
    for precision in (Precision.FLOAT32, Precision.FLOAT16):
        write_float_model(wide, tmp_path / "wide.pt", precision=precision)
        sizes[precision] = (tmp_path / "wide.pt").stat().st_size
    assert sizes[Precision.FLOAT16] < 0.51 * sizes[Precision.FLOAT32]
