"""Layer, clamp -> layer with a fused clamp.

Given   y = clamp(layer(x), low, high)
Result  y = layer(x) with activation [low, high]
Given   y = clamp(move(layer(x), layer(z)), low, high)      where move computes nothing, as concatenation and padding do
Result  y = move(layer(x), layer(z)), both with activation [low, high]

A second clamp narrows the first. In integers the fused clamp is nothing but the output's range; on its own it would be
an operator that XNNPACK's int8 delegate refuses.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.ir import Clamp
from edgekit.passes.matching import Pattern, has_one_reader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.ir import Graph, Node, Tensor

_CLAMP = Pattern(Clamp)


def fuse_activation(graph: Graph) -> Graph:
    """Fuse every Clamp that is the only reader of what layers make that take one at no cost.

    What is clamped before it is moved gets another name, because the checkpoint has it unclamped.
    """
    nodes: dict[str, Node] = {}  # by output
    tensors: dict[str, Tensor] = {}
    for node in graph:
        clamp, source = _CLAMP.match(node), node.inputs[0]
        if clamp is not None and _takes(graph, source, clamp, nodes):
            tensors |= _clamped(graph, source, clamp, node.output, nodes)
        else:
            nodes[node.output] = node
    return graph.with_nodes(tuple(nodes.values()), tensors)


def _takes(graph: Graph, tensor: str, clamp: Clamp, nodes: Mapping[str, Node]) -> bool:
    """Whether what makes ``tensor`` takes the clamp, or all that is moved there does; and nobody else sees it."""
    node = nodes.get(tensor)
    if node is None or not has_one_reader(graph, tensor):
        return False
    lets_zero_through = clamp.low <= 0 <= clamp.high  # as padding needs it
    moves = node.op.moves_values and lets_zero_through
    return node.op.takes_clamp or (moves and all(_takes(graph, name, clamp, nodes) for name in graph.activations(node)))


def _clamped(graph: Graph, tensor: str, clamp: Clamp, output: str, nodes: dict[str, Node]) -> dict[str, Tensor]:
    """Make the nodes behind ``tensor`` make ``output``, which is clamped, instead; what new tensors there are."""
    tensors: dict[str, Tensor] = {}
    node = nodes.pop(tensor)
    if node.op.takes_clamp:
        nodes[output] = replace(node, output=output, activation=_then(node.activation, clamp))
        return tensors
    names = {name: f"{name}.clamped" for name in graph.activations(node)}
    for name, clamped in names.items():
        tensors[clamped] = replace(graph.tensors[name], name=clamped)
        tensors |= _clamped(graph, name, clamp, clamped, nodes)
    nodes[output] = replace(node, output=output, inputs=tuple(names.get(name, name) for name in node.inputs))
    return tensors


def _then(first: Clamp | None, second: Clamp) -> Clamp:
    """The one clamp that does what both do, one after the other."""
    if first is None:
        return second
    low, high = (min(max(bound, second.low), second.high) for bound in (first.low, first.high))
    return Clamp(low, high)
