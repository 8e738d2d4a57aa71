"""The numbers of a layer: added up over batches, and which layer stands out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgekit.ir import Add, Graph, Node, Output, Tensor
from edgekit.verification.layers import LayerComparison, merged, steepest_fall


def layer(name: str, signal: float = 1.0, noise: float = 0.0, **changes: object) -> LayerComparison:
    values: dict[str, object] = {"values": 4, "equal": 3, "differences": {0: 3, 2: 1}, "max_difference": 2.0, **changes}
    return LayerComparison(name, f"{name}.out", "Conv2d", **values, signal=signal, noise=noise)  # type: ignore[arg-type]


def test_batches_are_added() -> None:
    a, b = layer("a", 3.0, 0.1), layer("a", 5.0, 0.3, equal=2, differences={0: 2, 1: 2}, max_difference=1.0)
    (both,) = merged([[a], [b]])
    assert (both.values, both.equal, both.max_difference) == (8, 5, 2.0)
    assert both.differences == {0: 5, 1: 2, 2: 1}
    assert both.identical == 5 / 8
    assert both.sqnr_db == pytest.approx(10 * math.log10(8.0 / 0.4))
    assert merged([[a], [layer("b"), b]]) == (both, layer("b"))


def test_sqnr() -> None:
    signal, noise = np.array([3.0, 4.0]), np.array([0.0, 0.5])
    assert layer("a", float((signal**2).sum()), float((noise**2).sum())).sqnr_db == pytest.approx(20.0)
    assert layer("a").sqnr_db == math.inf
    assert layer("a", 0.0, 1.0).sqnr_db == -math.inf
    assert layer("a", 1.0, math.nan).sqnr_db == -math.inf
    assert layer("a", values=0, equal=0).identical == 0.0


def at(name: str, decibels: float) -> LayerComparison:
    return layer(name, 1.0, 10 ** (-decibels / 10))


def test_the_steepest_fall_is_from_what_a_layer_reads() -> None:
    """c falls by 15 below its worst input, d by 5 although it comes behind 35; what is above 40 dB is fine."""
    layers = [at("a", 140), at("b", 70), at("c", 25), at("e", 35), at("d", 20)]
    reads = {"b": ("a",), "c": ("a", "b"), "e": ("b",), "d": ("c", "e")}
    nodes = tuple(Node(name, Add(), tuple(f"{x}.out" for x in names), f"{name}.out") for name, names in reads.items())
    tensors = {f"{name}.out": Tensor(f"{name}.out", (1,)) for name in "abcde"}
    graph = Graph("tiny", "a.out", (Output.logits("d.out"),), nodes, tensors, {})
    found = steepest_fall(layers, graph)
    assert found is not None
    assert found.layer == "c"
    assert steepest_fall([at("a", 140), at("b", 70)], graph) is None
    assert steepest_fall([], graph) is None


def test_without_a_graph_a_layer_reads_all_before_it() -> None:
    """A branch that is fine does not make the layer behind it stand out."""
    found = steepest_fall([at("a", 60), at("b", 5), at("c", 39), at("d", 2)], None)
    assert found is not None
    assert found.layer == "b"
