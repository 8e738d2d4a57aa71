"""Convolution or linear layer, then a constant added or multiplied -> its weights and bias.

Given   y = conv(x, W, b) + c           Result  y = conv(x, W, b + c)
Given   y = conv(x, W, b) * s           Result  y = conv(x, s W, s b)
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgekit.ir import Add, Conv2d, Graph, Linear, Mul
from edgekit.passes.matching import has_one_reader

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from edgekit.ir import Node


def fold_constants(graph: Graph) -> Graph:
    """Fold every Add and Mul of a constant into the convolution or linear layer of which it is the only reader."""
    nodes: dict[str, Node] = {}  # by output
    constants: dict[str, NDArray[Any]] = dict(graph.constants)
    statistics = dict(graph.statistics)
    for node in graph:
        layer = nodes.get(node.inputs[0])
        if (
            layer is not None
            and isinstance(node.op, Add | Mul)
            and node.inputs[1] in constants
            and isinstance(layer.op, Conv2d | Linear)
            and layer.activation is None
            and has_one_reader(graph, layer.output)
        ):
            _, weight, bias = layer.inputs
            operand = constants[node.inputs[1]].astype(np.float64)
            if isinstance(node.op, Mul):
                constants[weight] = (constants[weight] * operand).astype(np.float32)
                constants[bias] = (constants[bias] * operand).astype(np.float32)
            else:
                constants[bias] = (constants[bias] + operand).astype(np.float32)
            if layer.name in statistics:
                gain, shift = (operand, np.zeros(1)) if isinstance(node.op, Mul) else (np.ones(1), operand)
                statistics[layer.name] = statistics[layer.name].rescaled(gain, shift)
            del nodes[layer.output]
            nodes[node.output] = replace(layer, output=node.output, activation=node.activation)
        else:
            nodes[node.output] = node
    return graph.with_nodes(tuple(nodes.values()), constants=constants, statistics=statistics)
