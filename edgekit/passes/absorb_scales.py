"""Multiplications by a constant disappear into the weights behind them.

Given   y = p * s;  z = W * y + b
Result  z = (s W) * y' + b, where y' = p stands in the place of y and carries the factor 1/s

Every tensor gets a factor: what it holds is factor times what the checkpoint computes there.

1. A scaled tensor: the factor of what is scaled, divided by the scale.
2. A product: the product of the operands' factors.
3. Mean, Pad, Flatten, Clamp, and a constant that is added: the factor passes through; bounds and constant take it.
4. A sum: both operands must carry the same factor; the smaller one is raised.
5. What a hard-swish reads, as that is not homogeneous, and the outputs: 1.
6. A convolution or linear layer absorbs what its input carries, and can be made to carry any factor itself.

What 4 and 5 ask of a tensor reaches back through 1 to 4 until it finds the convolutions that take it.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.errors import UnsupportedOperator
from edgekit.ir import Add, ChannelStatistics, Clamp, Conv2d, Flatten, Graph, HardSwish, Linear, Mean, Mul, Node, Pad
from edgekit.passes.matching import has_one_reader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_ROUNDING = 1e-6  # constants are float32, and 1 / float32(1 / 6) is not quite 6
_ENDLESS = 1e30  # no network's factor, only one that grows with every sweep


def absorb_scales(graph: Graph) -> Graph:
    """Remove every Mul by a constant.

    Raises:
        UnsupportedOperator: a constant is not above zero, or a factor reaches a sum, a hard-swish or an output and no
            layer on the way can take it.
    """
    factors, places = _solve(graph), _places(graph)
    nodes: list[Node] = []
    constants: dict[str, NDArray[Any]] = {}
    statistics: dict[str, ChannelStatistics] = {}
    for node in graph:
        if _is_scale(graph, node):
            continue
        out, op, activation = factors[node.output], node.op, node.activation
        if isinstance(op, Conv2d | Linear):
            x, weight, bias = node.inputs
            constants[weight] = (graph.constants[weight] * (out / factors[x])).astype(np.float32)
            constants[bias] = (graph.constants[bias] * out).astype(np.float32)
            if node.name in graph.statistics:
                statistics[node.name] = graph.statistics[node.name].rescaled(out)
        elif isinstance(op, Add) and node.inputs[1] in graph.constants:
            constants[node.inputs[1]] = (graph.constants[node.inputs[1]] * out).astype(np.float32)
        elif isinstance(op, Clamp):
            op = Clamp(op.low * out, op.high * out)
        if activation is not None:
            activation = Clamp(activation.low * out, activation.high * out)
        inputs = tuple(places.get(name, name) for name in node.inputs)
        nodes.append(Node(node.name, op, inputs, places.get(node.output, node.output), activation))
    tensors = {name: replace(tensor, factor=factors[name]) for name, tensor in graph.tensors.items()}
    outputs = tuple(places.get(name, name) for name in graph.outputs)
    return graph.with_nodes(nodes, tensors, constants, outputs, statistics)


def _is_scale(graph: Graph, node: Node) -> bool:
    return isinstance(node.op, Mul) and node.inputs[1] in graph.constants


def _scale(graph: Graph, node: Node) -> float:
    """The constant that ``node`` multiplies by."""
    value = float(graph.constants[node.inputs[1]].item())
    if value <= 0:
        raise UnsupportedOperator(
            f"{node.name!r} multiplies by {value:g}, and only numbers above 0 can be moved into other layers: "
            f"put it behind a convolution or linear layer"
        )
    return value


def _places(graph: Graph) -> Mapping[str, str]:
    """New names: what is scaled takes the name of the result, unless others know it by its own; then it keeps that."""
    places: dict[str, str] = {}
    for node in graph:
        if not _is_scale(graph, node):
            continue
        scaled = node.inputs[0]
        if scaled == graph.input or scaled in places or not has_one_reader(graph, scaled):
            places[node.output] = places.get(scaled, scaled)
        else:
            places |= {name: node.output for name, place in places.items() if place == scaled}
            places[scaled] = node.output
    return places


def _solve(graph: Graph) -> dict[str, float]:
    """The factor of every tensor; sweeps forward until what sums, hard-swishes and outputs ask for has settled."""
    factors = dict.fromkeys(graph.tensors, 1.0)
    for _ in range(
        len(graph.nodes) + 2
    ):  # one node at least has its last word in a sweep; then one that changes nothing
        before = dict(factors)
        for node in graph:
            _propagate(graph, node, factors)
        for name in graph.outputs:
            _carry(graph, name, 1.0, factors)
        if factors == before:
            return factors
        if max(factors.values()) > _ENDLESS:
            break
    raise UnsupportedOperator(
        "a multiplication by a constant cannot be moved into other layers: a sum adds a tensor to a product of that "
        "same tensor, so its operands never carry the same factor"
    )


def _propagate(graph: Graph, node: Node, factors: dict[str, float]) -> None:
    """Give the output of ``node`` its factor."""
    x = node.inputs[0]
    match node.op:
        case Mul() if _is_scale(graph, node):
            factors[node.output] = _tidy(factors[x] / _scale(graph, node))
        case Mul():
            factors[node.output] = factors[x] * factors[node.inputs[1]]
        case Add() if node.inputs[1] in graph.tensors:
            factors[node.output] = max(factors[name] for name in node.inputs)
            for name in node.inputs:
                _carry(graph, name, factors[node.output], factors)
        case Add() | Clamp() | Flatten() | Mean() | Pad():
            factors[node.output] = factors[x]
        case HardSwish():
            _carry(graph, x, 1.0, factors)
        case Conv2d() | Linear():
            pass
        case _:
            raise AssertionError(f"{node.op} must be lowered before scales are absorbed")


def _carry(graph: Graph, name: str, factor: float, factors: dict[str, float]) -> None:
    """Make a tensor carry ``factor``, by way of whatever makes it."""
    if math.isclose(factors[name], factor, rel_tol=_ROUNDING):
        return
    node = graph.producer(name)
    match None if node is None else node.op:
        case Conv2d() | Linear():
            pass
        case Mul() if node is not None and _is_scale(graph, node):
            _carry(graph, node.inputs[0], _tidy(factor * _scale(graph, node)), factors)
        case Mul() if node is not None:  # by way of the second operand, which is the smaller one
            _carry(graph, node.inputs[1], factor / factors[node.inputs[0]], factors)
        case Add() | Clamp() | Flatten() | Mean() | Pad() if node is not None:
            for read in graph.activations(node):
                _carry(graph, read, factor, factors)
        case _:
            raise UnsupportedOperator(
                f"{name!r} would have to carry the factor {factor:g} instead of {factors[name]:g}, because of a "
                f"multiplication by a constant, and no convolution or linear layer on the way can take that"
            )
    factors[name] = factor


def _tidy(factor: float) -> float:
    """``factor``, or the whole number, or one over a whole number, that it is but for rounding."""
    if not _ROUNDING < factor < 1 / _ROUNDING:  # whole numbers are too close together there
        return factor
    candidates = (float(round(factor)), 1 / max(round(1 / factor), 1))
    return next((c for c in candidates if math.isclose(c, factor, rel_tol=_ROUNDING)), factor)
