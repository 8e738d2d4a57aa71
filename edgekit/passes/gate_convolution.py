"""The gate of a hard-swish as a convolution that knows channels.

Given   x = conv(…);  a = clamp(x + 3, 0, 6);                  y = x a
Result  x = conv(…);  a = clamp(depthwise 1x1(x; 1, 3), 0, 6);  y = x a

An ADD treats all channels alike. A depthwise convolution has a weight for each, 1 to begin with, so every channel of x
may be scaled by a factor of its own, and y with it: the way to give the channels of a hard-swish equal ranges. It costs
somewhat more than the ADD, so ``calibration.equalization`` decides where it pays.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgekit.ir import Add, Conv2d, Graph, Mul
from edgekit.passes.matching import Pattern, number_operand

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from edgekit.ir import Node

_SUM, _PRODUCT, _CONVOLUTION = Pattern(Add), Pattern(Mul), Pattern(Conv2d)


def gates(graph: Graph) -> tuple[Node, ...]:
    """The ADDs of hard-swishes of feature maps that a convolution makes."""
    return tuple(node for node in graph if _is_gate(graph, node))


def gate_convolution(graph: Graph, names: Collection[str]) -> Graph:
    """Rewrite the gates with these names."""
    nodes: list[Node] = []
    constants: dict[str, NDArray[np.float32]] = {}
    for node in graph:
        if node.name not in names:
            nodes.append(node)
            continue
        x, shift = node.read("a", "b")
        channels = graph.tensors[x].shape[0]
        weight, bias = f"{node.name}.weight", f"{node.name}.bias"
        constants[weight] = np.ones((channels, 1, 1, 1), np.float32)
        constants[bias] = np.broadcast_to(graph.constants[shift].reshape(-1), (channels,)).astype(np.float32)
        nodes.append(replace(node, op=Conv2d(groups=channels), inputs=(x, weight, bias)))
    return graph.with_nodes(nodes, constants=constants)


def _is_gate(graph: Graph, node: Node) -> bool:
    producer = graph.producer(node.inputs[0])
    readers = () if producer is None else graph.consumers(producer.output)
    return (
        _SUM.match(node) is not None
        and number_operand(graph, node) is not None
        and node.activation is not None
        and producer is not None
        and _CONVOLUTION.match(producer) is not None
        and all(_SUM.match(reader) or _PRODUCT.match(reader) for reader in readers)
        and any(_PRODUCT.match(reader) for reader in readers)
    )
