"""Nodes that nothing reads go.

Given   a = f(x);  b = g(x);  output a
Result  a = f(x);  output a
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgekit.ir import Graph, Node


def remove_dead(graph: Graph) -> Graph:
    """Drop every node that no output depends on."""
    needed = set(graph.output_tensors)
    alive: list[Node] = []
    for node in reversed(graph.nodes):
        if node.output in needed:
            needed.update(node.inputs)
            alive.append(node)
    return graph.with_nodes(alive[::-1])
