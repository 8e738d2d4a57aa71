"""Pad, convolution -> convolution with that padding.

Given   y = conv(pad(x, p), padding=c)
Result  y = conv(x, padding=p + c)

Every format pads with real 0 inside the convolution; a Pad that is left over would be an operator of its own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.ir import Conv2d, Graph, Pad
from edgekit.passes.matching import Pattern

if TYPE_CHECKING:
    from edgekit.ir import Node

_PAD, _CONVOLUTION = Pattern(Pad), Pattern(Conv2d)


def fold_padding(graph: Graph) -> Graph:
    """Make every convolution that reads a Pad read what is padded; the Pad stays for its other readers."""
    nodes: list[Node] = []
    for node in graph:
        padded = node
        while (convolution := _CONVOLUTION.match(padded)) is not None:
            before = graph.producer(padded.operand("x"))
            pad = _PAD.match(before)
            if before is None or pad is None or any(pad.channels_around):
                break
            op = replace(convolution, padding=pad.padding + convolution.padding)
            padded = replace(padded, op=op, inputs=(before.operand("x"), *padded.inputs[1:]))
        nodes.append(padded)
    return graph.with_nodes(nodes)
