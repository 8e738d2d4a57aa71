"""Multiplications by a constant disappear into the weights behind them.

Given   y = p * s;  z = W * y + b
Result  z = (s W) * y' + b, where y' = p stands in the place of y and carries the factor 1/s

Every tensor gets a factor: what it holds is factor times what the checkpoint computes there.

1. A scaled tensor: the factor of what is scaled, divided by the scale.
2. Otherwise what the operator declares (``Factors``): a product carries the product of the operands' factors. The
   factor passes through means, moves, clamps and sums; bounds and constants take it, and where there are several
   operands all must carry the same, so the smaller ones are raised. What is not homogeneous reads and makes 1. Layers
   with weights absorb what their input carries, and can be made to carry any factor themselves.
3. The outputs: 1.

What is asked of a tensor reaches back until it finds the layers that take it.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.errors import UnsupportedOperator
from edgekit.ir.operators.operator import Factors
from edgekit.passes.matching import constant_operand, has_one_reader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edgekit.ir import ChannelStatistics, Graph, Node

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
        out, activation = factors[node.output], node.activation
        if node.op.factors is Factors.ABSORBED:
            x, weight, bias = node.read("x", "weight", "bias")
            constants[weight] = (graph.constants[weight] * (out / factors[x])).astype(np.float32)
            constants[bias] = (graph.constants[bias] * out).astype(np.float32)
            if node.name in graph.statistics:
                statistics[node.name] = graph.statistics[node.name].rescaled(out)
        elif node.op.factors is Factors.EQUAL:
            added = [name for name in node.inputs if name in graph.constants]
            constants |= {name: (graph.constants[name] * out).astype(np.float32) for name in added}
        if activation is not None:
            activation = activation.times(out)
        inputs = tuple(places.get(name, name) for name in node.inputs)
        op, output = node.op.times(out), places.get(node.output, node.output)
        nodes.append(replace(node, op=op, inputs=inputs, output=output, activation=activation))
    tensors = {name: replace(tensor, factor=factors[name]) for name, tensor in graph.tensors.items()}
    outputs = tuple(replace(o, tensor=places.get(o.tensor, o.tensor)) for o in graph.outputs)
    return graph.with_nodes(nodes, tensors, constants, outputs, statistics)


def _is_scale(graph: Graph, node: Node) -> bool:
    return node.op.factors is Factors.PRODUCT and constant_operand(graph, node) is not None


def _scale(graph: Graph, node: Node) -> float:
    """The constant that ``node`` multiplies by."""
    value = float(graph.constants[node.operand("b")].item())
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
        scaled = node.operand("a")
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
        for name in graph.output_tensors:
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
    read = graph.activations(node)
    match node.op.factors:
        case Factors.PRODUCT if _is_scale(graph, node):
            factors[node.output] = _tidy(factors[read[0]] / _scale(graph, node))
        case Factors.PRODUCT:
            factors[node.output] = math.prod(factors[name] for name in read)
        case Factors.EQUAL:
            factors[node.output] = max(factors[name] for name in read)
            for name in read:
                _carry(graph, name, factors[node.output], factors)
        case Factors.NONE:
            for name in read:
                _carry(graph, name, 1.0, factors)
        case Factors.ABSORBED:
            pass


def _carry(graph: Graph, name: str, factor: float, factors: dict[str, float]) -> None:
    """Make a tensor carry ``factor``, by way of whatever makes it."""
    if math.isclose(factors[name], factor, rel_tol=_ROUNDING):
        return
    node = graph.producer(name)
    match None if node is None else node.op.factors:
        case Factors.ABSORBED:
            pass
        case Factors.PRODUCT if node is not None and _is_scale(graph, node):
            _carry(graph, node.operand("a"), _tidy(factor * _scale(graph, node)), factors)
        case Factors.PRODUCT if node is not None:  # by way of the second operand, which is the smaller one
            _carry(graph, node.operand("b"), factor / factors[node.operand("a")], factors)
        case Factors.EQUAL if node is not None:
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
