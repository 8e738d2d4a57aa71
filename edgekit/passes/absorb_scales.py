"""Multiplications by a constant disappear into the weights behind them.

Given   y = p * s;  z = W * y + b
Result  z = (s W) * y' + b, where y' = p stands in the place of y and carries the factor 1/s

Every tensor gets a factor: what it holds is factor times what the checkpoint computes there.

1. A scaled tensor: the factor of what is scaled, divided by the scale.
2. A product: the product of the operands' factors.
3. Mean, Pad, Flatten, and a constant that is added: the factor passes through (the constant is multiplied by it).
4. A sum: both operands must carry the same factor; the smaller one is raised.
5. A convolution or linear layer absorbs what its input carries, and can be made to carry any factor itself (raised by 4).
   A clamp fused to it is multiplied by the factor.

Raising a factor reaches back through sums and through case 3 until it finds the convolutions that take it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.errors import UnsupportedOperator
from edgekit.ir import Add, Clamp, Conv2d, Flatten, Graph, HardSwish, Linear, Mean, Mul, Pad

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.ir import Node


def absorb_scales(graph: Graph) -> Graph:
    """Remove every Mul by a constant.

    Raises:
        UnsupportedOperator: a factor reaches a sum, an output or an operator that cannot take it.
    """
    factors = _solve(graph)
    nodes: list[Node] = []
    constants: dict[str, NDArray[Any]] = {}
    for node in graph:
        if _is_scale(graph, node):  # what it scaled takes its place, name included
            index, scaled = next((i, n) for i, n in enumerate(nodes) if n.output == node.inputs[0])
            nodes[index] = replace(scaled, output=node.output)
            continue
        out = factors[node.output]
        if isinstance(node.op, Conv2d | Linear):
            x, weight, bias = node.inputs
            constants[weight] = (graph.constants[weight] * (out / factors[x])).astype(np.float32)
            constants[bias] = (graph.constants[bias] * out).astype(np.float32)
        elif isinstance(node.op, Add) and node.inputs[1] in graph.constants:
            constants[node.inputs[1]] = (graph.constants[node.inputs[1]] * out).astype(np.float32)
        if node.activation is not None:
            node = replace(node, activation=Clamp(node.activation.low * out, node.activation.high * out))
        nodes.append(node)
    tensors = {name: replace(tensor, factor=factors[name]) for name, tensor in graph.tensors.items()}
    for name in graph.outputs:
        if factors[name] != 1.0:
            raise UnsupportedOperator(f"the output {name!r} would carry a factor: end the network with a linear layer")
    return graph.with_nodes(nodes, tensors, constants)


def _is_scale(graph: Graph, node: Node) -> bool:
    return isinstance(node.op, Mul) and node.inputs[1] in graph.constants


def _solve(graph: Graph) -> dict[str, float]:
    """The factor of every tensor; sweeps forward until raised factors have settled."""
    factors = dict.fromkeys(graph.tensors, 1.0)
    while True:
        before = dict(factors)
        for node in graph:
            _propagate(graph, node, factors)
        if factors == before:
            return factors


def _propagate(graph: Graph, node: Node, factors: dict[str, float]) -> None:
    first = factors[node.inputs[0]]
    match node.op:
        case Mul() if _is_scale(graph, node):
            # Rounded, because 1 / float32(1 / 6) is not quite the 6 that clamps and other factors are compared with.
            factors[node.output] = round(first / float(graph.constants[node.inputs[1]][0]), 6)
        case Mul():
            factors[node.output] = first * factors[node.inputs[1]]
        case Add() if node.inputs[1] in graph.tensors:
            factor = max(factors[name] for name in node.inputs)
            for name in node.inputs:
                _raise(graph, name, factor, factors)
            factors[node.output] = factor
        case Mean() | Pad() | Flatten() | Add():
            factors[node.output] = first
        case Conv2d() | Linear():
            pass
        case HardSwish() | Clamp() if first == 1.0:
            pass
        case _:
            raise UnsupportedOperator(f"{type(node.op).__name__} {node.name!r} reads a tensor that carries a factor")


def _raise(graph: Graph, name: str, factor: float, factors: dict[str, float]) -> None:
    """Make the tensor carry ``factor``, by way of whatever makes it."""
    if factors[name] == factor:
        return
    node = graph.producer(name)
    match None if node is None else node.op:
        case Conv2d() | Linear():
            pass
        case Add() | Mean() | Pad() | Flatten():
            assert node is not None
            for read in graph.activations(node):
                _raise(graph, read, factor, factors)
        case _:
            raise UnsupportedOperator(
                f"the sum that reads {name!r} has operands with the factors {factors[name]:g} and {factor:g}, "
                f"and no convolution in between can take the difference"
            )
    factors[name] = factor
