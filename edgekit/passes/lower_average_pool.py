"""Average pooling as a depthwise convolution, whose scales can be any.

Given   y = mean of each window of k numbers
Result  y = depthwise(x; 1 / k, 0)

XNNPACK computes it as fast, and its weights take up whatever ratio the scales of x and y leave. In integers all of them
are 1, with a scale of nearly 1 / k (``ScaleState.largest_weight``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgekit.ir import AveragePool2d, Conv2d, Graph, Lowered
from edgekit.passes.matching import Pattern

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.ir import Node

_POOL = Pattern(AveragePool2d)


def lower_average_pool(graph: Graph) -> Graph:
    """Rewrite every AveragePool2d."""
    nodes: list[Node] = []
    constants: dict[str, NDArray[np.float32]] = {}
    for node in graph:
        pool = _POOL.match(node)
        if pool is None:
            nodes.append(node)
            continue
        x = node.operand("x")
        channels, *_ = graph.tensors[x].shape
        weight, bias = f"{node.name}.weight", f"{node.name}.bias"
        constants[weight] = np.full((channels, 1, *pool.kernel), 1 / pool.area, np.float32)
        constants[bias] = np.zeros(channels, np.float32)
        op = Conv2d(pool.stride, pool.padding, channels)
        nodes.append(replace(node, op=op, inputs=(x, weight, bias), lowered=Lowered(node.name, AveragePool2d.__name__)))
    return graph.with_nodes(nodes, constants=constants)
