"""Global mean, reshape to a vector -> mean that drops the spatial axes.

Given   y = vector(mean(x, keep_dims))
Result  y = mean(x)

One operator less in every format, and no reshape between mean and linear layer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.ir import VECTOR, Graph, Mean, Rearrange
from edgekit.passes.matching import Pattern, has_one_reader

if TYPE_CHECKING:
    from edgekit.ir import Node

_MEAN, _RESHAPE = Pattern(Mean), Pattern(Rearrange)


def fold_flatten(graph: Graph) -> Graph:
    """Fold every reshape to a vector that is the only reader of a Mean."""
    nodes: dict[str, Node] = {}  # by output
    for node in graph:
        mean = nodes.get(node.inputs[0])
        if (
            mean is not None
            and _RESHAPE.match(node) is not None
            and graph.tensors[node.output].axes == VECTOR
            and _MEAN.match(mean) is not None
            and has_one_reader(graph, mean.output)
        ):
            del nodes[mean.output]
            nodes[node.output] = replace(mean, op=Mean(keep_dims=False), output=node.output)
        else:
            nodes[node.output] = node
    return graph.with_nodes(tuple(nodes.values()))
