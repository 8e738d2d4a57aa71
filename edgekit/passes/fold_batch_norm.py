"""Convolution, batch normalization -> convolution.

Given   y = gamma (W * x + b - mean) / sqrt(variance + eps) + beta
Result  y = (g W) * x + (g (b - mean) + beta)    with g = gamma / sqrt(variance + eps)

Computed in float64: a dead channel has a variance near eps, and a float32 quotient would cost it digits.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgekit.errors import UnsupportedOperator
from edgekit.ir import BatchNorm, Conv2d, Graph

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.ir import Node


def fold_batch_norm(graph: Graph) -> Graph:
    """Fold every BatchNorm into the convolution that feeds it.

    Raises:
        UnsupportedOperator: a BatchNorm follows something else, or its convolution has other readers.
    """
    nodes: list[Node] = []
    constants: dict[str, NDArray[np.float32]] = {}
    for node in graph:
        if not isinstance(node.op, BatchNorm):
            nodes.append(node)
            continue
        conv = graph.producer(node.inputs[0])
        if conv is None or not isinstance(conv.op, Conv2d) or len(graph.consumers(conv.output)) > 1:
            raise UnsupportedOperator(
                f"the batch normalization {node.name!r} does not follow a convolution of its own, so it cannot be folded"
            )
        gamma, beta, mean, variance = (graph.constants[name].astype(np.float64) for name in node.inputs[1:])
        weight, bias = (graph.constants[name].astype(np.float64) for name in conv.inputs[1:])
        gain = gamma / np.sqrt(variance + node.op.eps)  # [O]
        constants[conv.inputs[1]] = (weight * gain[:, None, None, None]).astype(np.float32)
        constants[conv.inputs[2]] = (gain * (bias - mean) + beta).astype(np.float32)
        nodes[nodes.index(conv)] = replace(conv, output=node.output)
    return graph.with_nodes(nodes, constants=constants)
