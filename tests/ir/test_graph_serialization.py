"""Graph -> JSON text -> Graph."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit import ir
from edgekit.errors import UnsupportedOperator
from edgekit.ir import Clamp, Conv2d, Graph, Node, Op, Output, Padding, Tensor
from edgekit.ir.serialization import graph_from_dict, graph_to_dict

OPS: dict[type[Op], Op] = {
    ir.Add: ir.Add(),
    ir.ArgMax: ir.ArgMax((8, 6)),
    ir.AveragePool2d: ir.AveragePool2d((3, 2), (2, 1), Padding(0, 1, 2, 3)),
    ir.BatchNorm: ir.BatchNorm(1e-3),
    ir.Clamp: ir.Clamp(-3.0),
    ir.Concat: ir.Concat(1),
    ir.Conv2d: ir.Conv2d((2, 1), Padding(0, 1, 2, 3), 8, (1, 2)),
    ir.Dequantize: ir.Dequantize(),
    ir.HardSigmoid: ir.HardSigmoid(),
    ir.HardSwish: ir.HardSwish(),
    ir.LeakyReLU: ir.LeakyReLU(0.1),
    ir.Linear: ir.Linear(),
    ir.MaxPool2d: ir.MaxPool2d((3, 2), (2, 1), Padding(0, 1, 1, 0), (1, 2)),
    ir.Mean: ir.Mean(keep_dims=False),
    ir.Mul: ir.Mul(),
    ir.PReLU: ir.PReLU(),
    ir.Pad: ir.Pad(Padding(1, 2, 3, 4)),
    ir.Quantize: ir.Quantize(),
    ir.Rearrange: ir.Rearrange((2, 3, 4), (0, 2, 1), (4, 6)),
    ir.Requantize: ir.Requantize(),
    ir.Resize: ir.Resize((8, 6), "half-pixel"),
    ir.Slice: ir.Slice((ir.Part(1, 3), ir.Part(0, 4, 2))),
    ir.Sigmoid: ir.Sigmoid(),
    ir.TransposedConv2d: ir.TransposedConv2d((2, 1), Padding(0, 1, 2, 3), (1, 0), 4),
    ir.Softmax: ir.Softmax(2),
}

FACTORS = st.floats(1e-6, 1e6)


def _round_trip(graph: Graph) -> Graph:
    return graph_from_dict(json.loads(json.dumps(graph_to_dict(graph), allow_nan=False)), graph.constants)


def _graph(op: Op, activation: Clamp | None = None, factor: float | tuple[float, ...] = 1.0) -> Graph:
    tensors = {"x": Tensor("x", (8, 4, 4)), "y": Tensor("y", (8,), factor)}
    node = Node("layer.0", op, ("x", "layer.0.weight"), "y", activation)
    return Graph("toy", "x", (Output.logits("y"),), (node,), tensors, {"layer.0.weight": np.ones(1, np.float32)})


@pytest.mark.parametrize("op", OPS.values(), ids=lambda op: type(op).__name__)
def test_every_operator_comes_back(op: Op) -> None:
    graph = _graph(op)
    back = _round_trip(graph)
    assert back.nodes == graph.nodes
    assert back.tensors == graph.tensors
    assert (back.name, back.input, back.outputs) == (graph.name, graph.input, graph.outputs)
    assert back.constants is graph.constants


def test_no_operator_is_forgotten_here() -> None:
    assert set(OPS) == {kind for kind in ir.operators().values() if kind.__module__.startswith("edgekit.")}


@given(
    low=st.floats(-1e30, 0),
    high=st.one_of(st.just(math.inf), st.floats(0, 1e30)),
    stride=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    border=st.lists(st.integers(0, 9), min_size=4, max_size=4),
    factor=st.one_of(FACTORS, st.tuples(FACTORS, FACTORS)),
)
def test_every_value_comes_back(
    low: float, high: float, stride: tuple[int, int], border: list[int], factor: float | tuple[float, ...]
) -> None:
    graph = _graph(Conv2d(stride, Padding(*border), 3), Clamp(low, high), factor)
    back = _round_trip(graph)
    assert back.nodes == graph.nodes
    assert back.tensors == graph.tensors


def test_what_describes_no_graph_is_refused() -> None:
    values = graph_to_dict(_graph(ir.Add()))
    values["nodes"][0]["op"]["op"] = "Teleport"
    with pytest.raises(UnsupportedOperator, match="no operator Teleport"):
        graph_from_dict(values, {})
    with pytest.raises(KeyError):
        graph_from_dict({"name": "toy"}, {})


@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("Conv2d", {"stride": [1]}),
        ("Conv2d", {"stride": "11"}),
        ("Conv2d", {"padding": [0, 0, 0, 0]}),
        ("Conv2d", {"padding": {"top": "1"}}),
        ("Conv2d", {"dilated": [2, 2]}),
        ("Conv2d", {"groups": True}),
        ("Clamp", {"low": "nothing"}),
        ("Clamp", {"low": True}),
        ("Mean", {"keep_dims": 1}),
    ],
)
def test_attributes_are_of_the_types_that_are_declared(op: str, attributes: dict[str, object]) -> None:
    values = graph_to_dict(_graph(ir.Add()))
    values["nodes"][0]["op"] = {"op": op, **attributes}
    with pytest.raises((TypeError, ValueError)):
        graph_from_dict(values, {})
