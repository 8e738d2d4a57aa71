"""Convolution or linear layer, batch normalization -> convolution or linear layer.

Given   y = gamma (W * x + b - mean) / sqrt(variance + eps) + beta
Result  y = (g W) * x + (g (b - mean) + beta)    with g = gamma / sqrt(variance + eps)

Computed in float64: a dead channel has a variance near eps, and a float32 quotient would cost it digits.

What the normalization says of y before it goes is kept (``Graph.statistics``): in training, W * x + b had the mean and
the variance that it remembers, so y has mean beta and standard deviation |g| sqrt(variance). Where it remembers mean 0
and variance 1 in every channel it has seen nothing, being untrained, or a scale and a shift that were written as one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgekit.errors import UnsupportedOperator
from edgekit.ir import BatchNorm, ChannelStatistics, Graph
from edgekit.passes.matching import Pattern, has_one_reader

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from edgekit.ir import Node

_NORM = Pattern(BatchNorm)


def fold_batch_norm(graph: Graph) -> Graph:
    """Fold every BatchNorm into the layer that feeds it.

    Raises:
        UnsupportedOperator: a BatchNorm follows something else, or its layer has other readers.
    """
    nodes: dict[str, Node] = {}  # by output
    constants: dict[str, NDArray[Any]] = dict(graph.constants)
    statistics: dict[str, ChannelStatistics] = {}
    for node in graph:
        norm = _NORM.match(node)
        if norm is None:
            nodes[node.output] = node
            continue
        layer = nodes.get(node.operand("x"))
        if layer is None or not layer.op.has_weights or not has_one_reader(graph, layer.output):
            raise UnsupportedOperator(
                f"{node.name!r} computes with one number a channel (as batch normalization does) and does not follow a "
                f"convolution or linear layer of its own, so it cannot be folded: move it behind one, or, where it "
                f"normalizes the image, out of the network, and say its --mean and --std"
            )
        gamma, beta, mean, variance = (
            constants[node.operand(role)].astype(np.float64) for role in ("gamma", "beta", "mean", "variance")
        )
        weight, bias = (constants[layer.operand(role)].astype(np.float64) for role in ("weight", "bias"))
        gain = gamma / np.sqrt(variance + norm.eps)  # [O]
        constants[layer.operand("weight")] = (weight * gain.reshape(-1, *(1,) * (weight.ndim - 1))).astype(np.float32)
        constants[layer.operand("bias")] = (gain * (bias - mean) + beta).astype(np.float32)
        if mean.any() or (variance != 1).any():
            statistics[layer.name] = ChannelStatistics(beta, np.abs(gain) * np.sqrt(variance))
        elif layer.name in statistics:
            statistics[layer.name] = statistics[layer.name].rescaled(gain, beta)
        del nodes[layer.output]
        nodes[node.output] = replace(layer, output=node.output)
    return graph.with_nodes(tuple(nodes.values()), constants=constants, statistics=statistics)
