"""The gate of the first hard-swish as a convolution that knows channels.

Given   x = conv(image);  a = clamp(x + 3, 0, 6);                  y = x a
Result  x = conv(image);  a = clamp(depthwise 1x1(x; 1, 3), 0, 6);  y = x a

An ADD treats all channels alike. A depthwise convolution has a weight for each, 1 to begin with, so every channel of x
may be scaled by a factor of its own, and y with it (``calibration.equalization``): the way to give the channels of a
hard-swish equal ranges, at the price of one operator for another. It is done behind the first convolution, where the
ranges of the channels differ most.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgekit.ir import Add, Conv2d, Graph, Mul

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.ir import Node


def gate_convolution(graph: Graph) -> Graph:
    """Rewrite the gate of a hard-swish behind the first convolution."""
    nodes: list[Node] = []
    constants: dict[str, NDArray[np.float32]] = {}
    for node in graph:
        conv = graph.producer(node.inputs[0])
        if (
            isinstance(node.op, Add)
            and node.inputs[1] in graph.constants
            and node.activation is not None
            and conv is not None
            and isinstance(conv.op, Conv2d)
            and conv.inputs[0] == graph.input
            and {type(reader.op) for reader in graph.consumers(conv.output)} == {Add, Mul}
        ):
            x, shift = node.inputs
            channels = graph.tensors[x].shape[0]
            weight, bias = f"{node.name}.weight", f"{node.name}.bias"
            constants[weight] = np.ones((channels, 1, 1, 1), np.float32)
            constants[bias] = np.broadcast_to(graph.constants[shift].reshape(-1), (channels,)).astype(np.float32)
            nodes.append(replace(node, op=Conv2d(groups=channels), inputs=(x, weight, bias)))
        else:
            nodes.append(node)
    return graph.with_nodes(nodes, constants=constants)
