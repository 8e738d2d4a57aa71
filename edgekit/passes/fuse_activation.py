"""Layer, clamp -> layer with a fused clamp.

Given   y = clamp(layer(x), low, high)
Result  y = layer(x) with activation [low, high]

In integers the fused clamp is nothing but the output's range; on its own it would be an operator that XNNPACK's int8
delegate refuses.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.ir import Add, Clamp, Conv2d, Graph, Linear

if TYPE_CHECKING:
    from edgekit.ir import Node


def fuse_activation(graph: Graph) -> Graph:
    """Fuse every Clamp that is the only reader of a convolution, linear layer or addition."""
    nodes: list[Node] = []
    for node in graph:
        layer = next((n for n in nodes if n.output == node.inputs[0]), None)
        if (
            isinstance(node.op, Clamp)
            and layer is not None
            and isinstance(layer.op, Conv2d | Linear | Add)
            and layer.activation is None
            and len(graph.consumers(layer.output)) == 1
        ):
            nodes[nodes.index(layer)] = replace(layer, output=node.output, activation=node.op)
        else:
            nodes.append(node)
    return graph.with_nodes(nodes)
