"""The hard-swish behind the first convolution, with a gate that has a convolution of its own.

Given   x = conv(image);  a = clamp(x + 3, 0, 6);  y = x a
Result  x = conv(image);  a = clamp(conv'(image), 0, 6);  y = x a    where conv' has the same weights, and the bias + 3

The gate no longer reads x, so every channel of x may be scaled by a factor of its own, and y with it
(``calibration.equalization``): the one way to give the channels of a hard-swish equal ranges. Only the first
convolution is worth it: it has few weights, and there the ranges of the channels differ most.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.ir import Add, Conv2d, Graph, Mul

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from edgekit.ir import Node


def gate_convolution(graph: Graph) -> Graph:
    """Give the gate of a hard-swish behind the first convolution a convolution of its own."""
    nodes: list[Node] = []
    constants: dict[str, NDArray[Any]] = {}
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
            _, weight, bias = conv.inputs
            gate_weight, gate_bias = f"{node.name}.weight", f"{node.name}.bias"
            constants[gate_weight] = graph.constants[weight]
            constants[gate_bias] = graph.constants[bias] + graph.constants[node.inputs[1]]
            nodes.append(replace(node, op=conv.op, inputs=(graph.input, gate_weight, gate_bias)))
        else:
            nodes.append(node)
    return graph.with_nodes(nodes, constants=constants)
