"""Multiplications by a number disappear into the weights behind them.

Given   y = p * s;  z = W * y + b
Result  z = (s W) * y' + b, where y' = p stands in the place of y and carries the factor 1/s

Every tensor gets a factor: what it holds is factor times what the checkpoint computes there.

1. A scaled tensor: the factor of what is scaled, divided by the scale.
2. Otherwise what the operator declares (``Factors``): a product carries the product of the operands' factors. The
   factor passes through means, moves, clamps and sums; bounds and constants take it, and where there are several
   operands all must carry the same, so the smaller ones are raised. What is not homogeneous reads and makes 1. Layers
   with weights absorb what their input carries, and can be made to carry any factor themselves. So does a product with
   a constant that stays one.
3. The outputs: 1.

What is asked of a tensor reaches back until it finds the layers that take it. Where it finds none, as at the image, or
would never settle, as in x + x / 2, a multiplication stays. So do those by numbers that are not above 0, because clamps
let no such factor through, and by arrays.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.ir.operators.operator import Factors
from edgekit.passes.matching import constant_operand, has_one_reader, number_operand

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from edgekit.ir import ChannelStatistics, Graph, Node

_ROUNDING = 1e-6  # constants are float32, and 1 / float32(1 / 6) is not quite 6
_ENDLESS = 1e30  # no network's factor, only one that grows with every sweep


class _NoFactorsError(Exception):
    """No factors of tensors make up for all of the multiplications that are to go."""


def absorb_scales(graph: Graph) -> Graph:
    """Remove every Mul by a number above 0 that the layers around it can make up for."""
    scales, factors = _absorbed(graph)
    places = _places(graph, scales)
    nodes: list[Node] = []
    constants: dict[str, NDArray[Any]] = {}
    statistics: dict[str, ChannelStatistics] = {}
    for node in graph:
        if node.name in scales:
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
        elif _takes_factors(graph, node):
            a, b = node.read("a", "b")
            constants[b] = (graph.constants[b] * (out / factors[a])).astype(np.float32)
        if activation is not None:
            activation = activation.times(out)
        inputs = tuple(places.get(name, name) for name in node.inputs)
        op, output = node.op.times(out), places.get(node.output, node.output)
        nodes.append(replace(node, op=op, inputs=inputs, output=output, activation=activation))
    tensors = {name: replace(tensor, factor=factors[name]) for name, tensor in graph.tensors.items()}
    outputs = tuple(replace(o, tensor=places.get(o.tensor, o.tensor)) for o in graph.outputs)
    return graph.with_nodes(nodes, tensors, constants, outputs, statistics)


def _absorbed(graph: Graph) -> tuple[Mapping[str, float], dict[str, float]]:
    """What is multiplied by in the nodes that go, by their names, and the factor of every tensor without them."""
    scales = {node.name: scale for node in graph if (scale := _scale(graph, node)) is not None}
    try:
        return scales, _solve(graph, scales)
    except _NoFactorsError:
        pass
    gone: dict[str, float] = {}
    factors = dict.fromkeys(graph.tensors, 1.0)
    for name, scale in scales.items():  # so those behind stay, where feature maps are smaller
        try:
            factors = _solve(graph, {**gone, name: scale})
        except _NoFactorsError:
            continue
        gone[name] = scale
    return gone, factors


def _scale(graph: Graph, node: Node) -> float | None:
    """The number above 0 that ``node`` multiplies by, and nothing else."""
    number = number_operand(graph, node) if node.op.factors is Factors.PRODUCT and node.activation is None else None
    return number if number is not None and number > 0 else None


def _takes_factors(graph: Graph, node: Node | None) -> bool:
    """Whether weights or a constant of ``node`` make up for what it reads and what it is to make."""
    if node is None or node.op.factors is not Factors.PRODUCT:
        return node is not None and node.op.factors is Factors.ABSORBED
    return constant_operand(graph, node) is not None


def _places(graph: Graph, scales: Collection[str]) -> Mapping[str, str]:
    """New names: what is scaled takes the name of the result, unless others know it by its own; then it keeps that."""
    places: dict[str, str] = {}
    for node in graph:
        if node.name not in scales:
            continue
        scaled = node.operand("a")
        if scaled == graph.input or scaled in places or not has_one_reader(graph, scaled):
            places[node.output] = places.get(scaled, scaled)
        else:
            places |= {name: node.output for name, place in places.items() if place == scaled}
            places[scaled] = node.output
    return places


def _solve(graph: Graph, scales: Mapping[str, float]) -> dict[str, float]:
    """The factor of every tensor; sweeps forward until what sums, hard-swishes and outputs ask for has settled.

    Args:
        graph: the network.
        scales: what the nodes of these names multiply by, which are to go.

    Raises:
        _NoFactorsError: there are none.
    """
    factors = dict.fromkeys(graph.tensors, 1.0)
    for _ in range(
        len(graph.nodes) + 2
    ):  # one node at least has its last word in a sweep; then one that changes nothing
        before = dict(factors)
        for node in graph:
            _propagate(graph, node, factors, scales)
        for name in graph.output_tensors:
            _carry(graph, name, 1.0, factors, scales)
        if factors == before:
            return factors
        if max(factors.values()) > _ENDLESS:
            break
    raise _NoFactorsError


def _propagate(graph: Graph, node: Node, factors: dict[str, float], scales: Mapping[str, float]) -> None:
    """Give the output of ``node`` its factor."""
    read = graph.activations(node)
    if node.name in scales:
        factors[node.output] = _tidy(factors[read[0]] / scales[node.name])
    elif _takes_factors(graph, node):
        return
    elif node.op.factors is Factors.PRODUCT:
        factors[node.output] = math.prod(factors[name] for name in read)
    elif node.op.factors is Factors.EQUAL:
        factors[node.output] = max(factors[name] for name in read)
        for name in read:
            _carry(graph, name, factors[node.output], factors, scales)
    else:
        for name in read:
            _carry(graph, name, 1.0, factors, scales)


def _carry(graph: Graph, name: str, factor: float, factors: dict[str, float], scales: Mapping[str, float]) -> None:
    """Make a tensor carry ``factor``, by way of whatever makes it."""
    if math.isclose(factors[name], factor, rel_tol=_ROUNDING):
        return
    node = graph.producer(name)
    if node is None:
        raise _NoFactorsError
    if node.name in scales:
        _carry(graph, node.operand("a"), _tidy(factor * scales[node.name]), factors, scales)
    elif node.op.factors is Factors.PRODUCT and not _takes_factors(graph, node):
        # By way of the second operand, which is the smaller one.
        _carry(graph, node.operand("b"), factor / factors[node.operand("a")], factors, scales)
    elif node.op.factors is Factors.EQUAL:
        for read in graph.activations(node):
            _carry(graph, read, factor, factors, scales)
    elif not _takes_factors(graph, node):
        raise _NoFactorsError
    factors[name] = factor


def _tidy(factor: float) -> float:
    """``factor``, or the whole number, or one over a whole number, that it is but for rounding."""
    if not _ROUNDING < factor < 1 / _ROUNDING:  # whole numbers are too close together there
        return factor
    candidates = (float(round(factor)), 1 / max(round(1 / factor), 1))
    return next((c for c in candidates if math.isclose(c, factor, rel_tol=_ROUNDING)), factor)
