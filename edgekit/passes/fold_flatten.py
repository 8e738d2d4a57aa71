"""Global mean, flatten -> mean that drops the spatial axes.

Given   y = flatten(mean(x, keep_dims))
Result  y = mean(x)

One operator less in every format, and no reshape between mean and linear layer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.ir import Flatten, Graph, Mean

if TYPE_CHECKING:
    from edgekit.ir import Node


def fold_flatten(graph: Graph) -> Graph:
    """Fold every Flatten that is the only reader of a Mean."""
    nodes: list[Node] = []
    for node in graph:
        mean = graph.producer(node.inputs[0])
        if (
            isinstance(node.op, Flatten)
            and mean is not None
            and isinstance(mean.op, Mean)
            and len(graph.consumers(mean.output)) == 1
        ):
            nodes[nodes.index(mean)] = replace(mean, op=Mean(keep_dims=False), output=node.output)
        else:
            nodes.append(node)
    return graph.with_nodes(nodes)
