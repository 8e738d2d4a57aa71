"""Convolution or linear layer, then a number added or multiplied -> its weights and bias.

Given   y = conv(x, W, b) + c           Result  y = conv(x, W, b + c)
Given   y = conv(x, W, b) * s           Result  y = conv(x, s W, s b)
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgekit.ir import Add, Graph, Mul
from edgekit.passes.matching import Pattern, has_one_reader, number_operand

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from edgekit.ir import Node

_SUM, _PRODUCT = Pattern(Add), Pattern(Mul)


def fold_constants(graph: Graph) -> Graph:
    """Fold every Add and Mul of a number into the convolution or linear layer of which it is the only reader."""
    nodes: dict[str, Node] = {}  # by output
    constants: dict[str, NDArray[Any]] = dict(graph.constants)
    statistics = dict(graph.statistics)
    for node in graph:
        layer, number = nodes.get(node.inputs[0]), number_operand(graph, node)
        is_sum, is_product = (pattern.match(node) is not None for pattern in (_SUM, _PRODUCT))
        if (
            layer is not None
            and (is_sum or is_product)
            and number is not None
            and layer.op.has_weights
            and layer.activation is None
            and has_one_reader(graph, layer.output)
        ):
            weight, bias = layer.operand("weight"), layer.operand("bias")
            operand = np.float64(number)  # a float of Python's would be rounded to float32 first
            if is_product:
                constants[weight] = (constants[weight] * operand).astype(np.float32)
                constants[bias] = (constants[bias] * operand).astype(np.float32)
            else:
                constants[bias] = (constants[bias] + operand).astype(np.float32)
            if layer.name in statistics:
                gain, shift = (operand, 0.0) if is_product else (1.0, operand)
                statistics[layer.name] = statistics[layer.name].rescaled(gain, shift)
            del nodes[layer.output]
            nodes[node.output] = replace(layer, output=node.output, activation=node.activation)
        else:
            nodes[node.output] = node
    return graph.with_nodes(tuple(nodes.values()), constants=constants, statistics=statistics)
