"""The float executor against the float reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgekit.errors import UnsupportedOperator
from edgekit.executor.float import FloatExecutor
from edgekit.ir import (
    Add,
    BatchNorm,
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
from edgekit.reference.float import FloatReference

RELU6 = Clamp(0.0, 6.0)


def network() -> Graph:
    """Every operator of a canonical float graph."""
    nodes = (
        Node("stem.0", Conv2d((2, 2), Padding(0, 1, 0, 1)), ("x", "stem.weight", "stem.bias"), "stem", RELU6),
        Node("pad", Pad(Padding(1, 1, 1, 1)), ("stem",), "padded"),
        Node("dw", Conv2d(groups=8), ("padded", "dw.weight", "dw.bias"), "dw"),
        Node("swish", HardSwish(), ("dw",), "swish"),
        Node("three", Add(), ("swish", "three"), "shifted", RELU6),
        Node("clamp", Mul(), ("shifted", "one"), "clamped", Clamp(1.0, 5.0)),
        Node("sum", Add(), ("clamped", "stem"), "sum"),
        Node("pool", Mean(), ("sum",), "pool"),
        Node("gate", Mul(), ("sum", "pool"), "gated"),
        Node("pool.1", Mean(), ("gated",), "pooled"),
        Node("flat", Rearrange.reshape((8,)), ("pooled",), "flat"),
        Node("head", Linear(), ("flat", "head.weight", "head.bias"), "logits"),
    )
    shapes = {
        "x": (3, 10, 12),
        "padded": (8, 7, 8),
        "pool": (8, 1, 1),
        "pooled": (8, 1, 1),
        "flat": (8,),
        "logits": (4,),
    } | dict.fromkeys(("stem", "dw", "swish", "shifted", "clamped", "sum", "gated"), (8, 5, 6))
    random = np.random.default_rng(0)
    constants = {
        name: random.standard_normal(shape).astype(np.float32)
        for name, shape in {
            "stem.weight": (8, 3, 3, 3),
            "stem.bias": (8,),
            "dw.weight": (8, 1, 3, 3),
            "dw.bias": (8,),
            "three": (1,),
            "one": (1,),
            "head.weight": (4, 8),
            "head.bias": (4,),
        }.items()
    }
    return Graph(
        "tiny", "x", (Output.logits("logits"),), nodes, {n: Tensor(n, s) for n, s in shapes.items()}, constants
    )


IMAGES = np.random.default_rng(1).standard_normal((3, 3, 10, 12)).astype(np.float32)


def test_every_tensor() -> None:
    graph, seen = network(), dict[str, torch.Tensor]()
    output = FloatExecutor(graph)(torch.from_numpy(IMAGES), observe=seen.setdefault)["logits"]
    expected = FloatReference(graph).run_all(IMAGES)
    assert list(seen) == ["x", *(node.output for node in graph)]
    for name, array in expected.items():
        assert seen[name].shape == (3, *graph.tensors[name].shape)
        np.testing.assert_allclose(seen[name], array, rtol=1e-4, atol=1e-4, err_msg=name)
    assert torch.equal(output, seen["logits"])


def test_images_are_left_alone() -> None:
    x = torch.from_numpy(IMAGES.copy())
    FloatExecutor(network())(x)
    np.testing.assert_array_equal(x, IMAGES)


def test_constants_are_copied() -> None:
    graph = network()
    executor = FloatExecutor(graph)
    executor.constant("head.bias").zero_()
    assert graph.constants["head.bias"].any()


def test_an_operator_that_is_not_canonical() -> None:
    statistics = {name: np.ones(3, np.float32) for name in ("gamma", "beta", "mean", "variance")}
    tensors = {name: Tensor(name, (3, 10, 12)) for name in ("x", "y")}
    graph = Graph(
        "tiny", "x", (Output.logits("y"),), (Node("bn", BatchNorm(1e-5), ("x", *statistics), "y"),), tensors, statistics
    )
    with pytest.raises(UnsupportedOperator, match="the float executor has no BatchNorm"):
        FloatExecutor(graph)(torch.from_numpy(IMAGES))
