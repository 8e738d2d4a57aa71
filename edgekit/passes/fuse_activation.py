"""Layer, clamp -> layer with a fused clamp.

Given   y = clamp(layer(x), low, high)
Result  y = layer(x) with activation [low, high]

A second clamp narrows the first. In integers the fused clamp is nothing but the output's range; on its own it would be
an operator that XNNPACK's int8 delegate refuses.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.ir import Clamp, Graph
from edgekit.passes.matching import Pattern, has_one_reader

if TYPE_CHECKING:
    from edgekit.ir import Node

_CLAMP = Pattern(Clamp)


def fuse_activation(graph: Graph) -> Graph:
    """Fuse every Clamp that is the only reader of a layer that takes one at no cost."""
    nodes: dict[str, Node] = {}  # by output
    for node in graph:
        layer, clamp = nodes.get(node.inputs[0]), _CLAMP.match(node)
        if layer is not None and clamp is not None and layer.op.takes_clamp and has_one_reader(graph, node.inputs[0]):
            del nodes[layer.output]
            nodes[node.output] = replace(layer, output=node.output, activation=_then(layer.activation, clamp))
        else:
            nodes[node.output] = node
    return graph.with_nodes(tuple(nodes.values()))


def _then(first: Clamp | None, second: Clamp) -> Clamp:
    """The one clamp that does what both do, one after the other."""
    if first is None:
        return second
    low, high = (min(max(bound, second.low), second.high) for bound in (first.low, first.high))
    return Clamp(low, high)
