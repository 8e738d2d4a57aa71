"""Convolution or linear layer, plus a constant -> its bias.

Given   y = conv(x, W, b) + c
Result  y = conv(x, W, b + c)
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.ir import Add, Conv2d, Graph, Linear

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from edgekit.ir import Node


def fold_constant_add(graph: Graph) -> Graph:
    """Fold an Add of a constant into the only convolution or linear layer that feeds it."""
    nodes: list[Node] = []
    constants: dict[str, NDArray[Any]] = {}
    for node in graph:
        layer = graph.producer(node.inputs[0])
        if (
            isinstance(node.op, Add)
            and node.inputs[1] in graph.constants
            and layer is not None
            and isinstance(layer.op, Conv2d | Linear)
            and layer.activation is None
            and len(graph.consumers(layer.output)) == 1
        ):
            constants[layer.inputs[2]] = graph.constants[layer.inputs[2]] + graph.constants[node.inputs[1]]
            nodes[nodes.index(layer)] = replace(layer, output=node.output)
        else:
            nodes.append(node)
    return graph.with_nodes(nodes, constants=constants)
