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
    """Make every convolution that reads a Pad read what is padded; the Pad stays for its other readers."""
    nodes: list[Node] = []
    for node in graph:
        padded = node
        while isinstance(padded.op, Conv2d):
            pad = graph.producer(padded.inputs[0])
            if pad is None or not isinstance(pad.op, Pad):
                break
            op = replace(padded.op, padding=pad.op.padding + padded.op.padding)
            padded = replace(padded, op=op, inputs=(pad.inputs[0], *padded.inputs[1:]))
        nodes.append(padded)
    return graph.with_nodes(nodes)
