"""Pad, convolution -> convolution with that padding.

Given   y = conv(pad(x, p), padding=c)
Result  y = conv(x, padding=p + c)

Every format pads with real 0 inside the convolution; a Pad that is left over would be an operator of its own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.ir import Conv2d, Graph, Pad

if TYPE_CHECKING:
    from edgekit.ir import Node


def fold_padding(graph: Graph) -> Graph:
    """Fold every Pad whose only readers are convolutions into them."""
    nodes: list[Node] = []
    for node in graph:
        pad = graph.producer(node.inputs[0])
        if isinstance(node.op, Conv2d) and pad is not None and isinstance(pad.op, Pad):
            op = replace(node.op, padding=pad.op.padding + node.op.padding)
            nodes.append(replace(node, op=op, inputs=(pad.inputs[0], *node.inputs[1:])))
        else:
            nodes.append(node)
    return graph.with_nodes(nodes)
