"""Float operators of int8 files: those of the layers that were to be kept, and no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgekit.calibration.assignment import quantize
from edgekit.calibration.options import Options
from edgekit.calibration.ranges import Range
from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import IoDtype
from edgekit.float_model import FloatModel
from edgekit.ir import Clamp, Conv2d, Graph, Linear, Mean, Mul, Node, Output, Padding, Tensor
from edgekit.preprocessing import Preprocessing
from edgekit.verification.float_layers import compare_float_layers

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.integer_model import IntegerModel

SHAPES = {"0.conv": (4, 8, 8), "0.conv.1": (4, 8, 8), "product": (4, 8, 8), "pool": (4,), "head": (5,)}


def network(*kept: str) -> IntegerModel:
    nodes = (
        Node("0.conv", Conv2d((2, 2), Padding(0, 1, 0, 1)), ("x", "w0", "b0"), "0.conv", Clamp(-1.0, 1.0)),
        Node("0.conv.1", Conv2d(groups=4), ("0.conv", "w1", "b1"), "0.conv.1", Clamp(0.0)),
        Node("product", Mul(), ("0.conv", "0.conv.1"), "product"),
        Node("pool", Mean(keep_dims=False), ("product",), "pool"),
        Node("head", Linear(), ("pool", "w2", "b2"), "head"),
    )
    random = np.random.default_rng(0)
    shapes = {"w0": (4, 3, 3, 3), "b0": (4,), "w1": (4, 1, 1, 1), "b1": (4,), "w2": (5, 4), "b2": (5,)}
    constants = {name: random.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}
    tensors = {name: Tensor(name, shape) for name, shape in {"x": (3, 16, 16), **SHAPES}.items()}
    graph = Graph("tiny", "x", (Output.logits("head"),), nodes, tensors, constants)
    ranges = dict.fromkeys(tensors, Range(-1.0, 1.0))
    return quantize(FloatModel(graph, Preprocessing((16, 16), None)), ranges, Options(keep_float=kept))


@pytest.mark.parametrize(
    "kept", [(), ("0.conv",), ("0.conv.1", "product"), ("pool",), ("head",), ("0", "head")], ids=str
)
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_holds_the_layers_that_are_kept(name: str, kept: tuple[str, ...], tmp_path: Path) -> None:
    """And one that is compared with another choice does not."""
    form, model = FORMATS[name], network(*kept)
    for module in form.modules:
        pytest.importorskip(module)
    form.write_integer_model(model, tmp_path / f"m{form.suffix}", io_dtype=IoDtype.FLOAT32)
    read = form.read(tmp_path / f"m{form.suffix}")
    nodes = form.contents(tmp_path / f"m{form.suffix}").nodes
    found = compare_float_layers(read.float_operators, nodes, model)
    assert (found.surplus, found.missing) == ((), ())
    assert (read.int8_share < 1.0) == bool(read.float_operators)
    if kept != ("pool",):  # which Core ML spells like an integer layer
        assert bool(read.float_operators) == bool(kept)
        assert compare_float_layers(read.float_operators, nodes, network()).surplus == read.float_operators
    assert compare_float_layers(read.float_operators, nodes, network("0", "product", "pool", "head")).missing == tuple(
        node for node in ("0.conv", "0.conv.1", "head") if node not in {n.name for n in model.float_nodes}
    )


def test_an_operator_of_an_integer_layer_is_one_too_many() -> None:
    found = compare_float_layers(["Conv y", "Gemm z"], {"y": "0.conv", "z": "head"}, network("head"))
    assert (found.surplus, found.missing) == (("Conv y",), ())


def test_an_operator_without_an_origin_is_of_no_layer() -> None:
    found = compare_float_layers(["SOFTMAX"], {}, network("head"))
    assert (found.surplus, found.missing) == (("SOFTMAX",), ("head",))
