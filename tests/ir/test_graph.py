"""Graphs: questions, rewriting, and what ``check`` refuses."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from edgekit.ir import Add, Clamp, Conv2d, Graph, Node, Output, Tensor
from edgekit.ir.graph import check


@pytest.fixture
def graph() -> Graph:
    """x -> conv -> relu; sum = conv + relu."""
    shape = (2, 4, 4)
    return Graph(
        name="toy",
        input="x",
        outputs=(Output.logits("sum"),),
        nodes=(
            Node("conv", Conv2d(), ("x", "conv.weight", "conv.bias"), "conv"),
            Node("relu", Clamp(0.0), ("conv",), "relu"),
            Node("sum", Add(), ("conv", "relu"), "sum"),
        ),
        tensors={name: Tensor(name, shape) for name in ("x", "conv", "relu", "sum")},
        constants={"conv.weight": np.ones((2, 2, 1, 1), np.float32), "conv.bias": np.zeros(2, np.float32)},
    )


def test_who_makes_and_who_reads(graph: Graph) -> None:
    conv, relu, total = graph
    assert graph.producer("x") is None
    assert graph.producer("relu") is relu
    assert graph.consumers("conv") == (relu, total)
    assert graph.consumers("sum") == ()
    assert graph.activations(conv) == ("x",)
    assert graph.activations(total) == ("conv", "relu")


def test_values_do_not_change(graph: Graph) -> None:
    with pytest.raises(FrozenInstanceError):
        graph.name = "other"  # type: ignore[misc]  # what is tested
    with pytest.raises(FrozenInstanceError):
        graph.nodes[0].op = Add()  # type: ignore[misc]  # what is tested


def test_with_nodes_drops_what_nobody_needs(graph: Graph) -> None:
    shorter = graph.with_nodes([Node("relu", Clamp(0.0), ("x",), "relu")], outputs=(Output.logits("relu"),))
    check(shorter)
    assert set(shorter.tensors) == {"x", "relu"}
    assert shorter.constants == {}
    assert shorter.output_tensors == ("relu",)
    assert set(graph.tensors) == {"x", "conv", "relu", "sum"}


def test_with_nodes_adds_what_is_given(graph: Graph) -> None:
    more = Node("more", Add(), ("sum", "more.operand"), "more")
    longer = graph.with_nodes(
        [*graph.nodes, more],
        {"more": Tensor("more", (2, 4, 4)), "unmade": Tensor("unmade", (1,))},
        {"more.operand": np.ones(1, np.float32)},
    )
    check(longer)
    assert "unmade" not in longer.tensors
    assert "more.operand" in longer.constants
    assert longer.outputs == graph.outputs


def test_what_check_refuses(graph: Graph) -> None:
    conv, relu, total = graph
    check(graph)
    faults = {
        "two nodes are named": replace(graph, nodes=(conv, relu, replace(total, name="relu"))),
        "read before it is made": replace(graph, nodes=(relu, conv, total)),
        "is made twice": replace(graph, nodes=(conv, relu, replace(total, output="relu"))),
        "tensors and nodes disagree": replace(graph, tensors={**graph.tensors, "ghost": Tensor("ghost", (1,))}),
        "an output is never made": replace(graph, outputs=(Output.logits("nothing"),)),
        "conv.bias is not finite": replace(graph, constants={**graph.constants, "conv.bias": np.array([0, np.nan])}),
    }
    for message, faulty in faults.items():
        with pytest.raises(AssertionError, match=message):
            check(faulty)
