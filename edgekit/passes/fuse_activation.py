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
from edgekit.passes.matching import CLAMPABLE, has_one_reader

if TYPE_CHECKING:
    from edgekit.ir import Node


def fuse_activation(graph: Graph) -> Graph:
    """Fuse every Clamp that is the only reader of a convolution, linear layer, addition or multiplication."""
    nodes: dict[str, Node] = {}  # by output
    for node in graph:
        layer = nodes.get(node.inputs[0])
        if (
            layer is not None
            and isinstance(node.op, Clamp)
            and isinstance(layer.op, CLAMPABLE)
            and has_one_reader(graph, node.inputs[0])
        ):
            del nodes[layer.output]
            nodes[node.output] = replace(layer, output=node.output, activation=_then(layer.activation, node.op))
        else:
            nodes[node.output] = node
    return graph.with_nodes(tuple(nodes.values()))


def _then(first: Clamp | None, second: Clamp) -> Clamp:
    """The one clamp that does what both do, one after the other."""
    if first is None:
        return second
    low, high = (min(max(bound, second.low), second.high) for bound in (first.low, first.high))
    return Clamp(low, high)
