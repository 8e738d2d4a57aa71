"""A clamp that stands by itself -> a product with 1 that has it.

Given   y = clamp(x, low, high), behind what takes no clamp: a mean, or a concatenation that others read, too
Result  y = 1 x, with activation [low, high]

In integers a clamp is nothing but the range of what computes. A MUL is proven, and XNNPACK takes it where it refuses
RELU6; so int8 becomes int8 of another range, as in ``calibration.scale_groups``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgekit.ir import Clamp, Graph, Lowered, Mul
from edgekit.passes.matching import Pattern

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.ir import Node

_CLAMP = Pattern(Clamp)


def lower_clamp(graph: Graph) -> Graph:
    """Rewrite every Clamp."""
    nodes: list[Node] = []
    constants: dict[str, NDArray[np.float32]] = {}
    for node in graph:
        clamp = _CLAMP.match(node)
        if clamp is None:
            nodes.append(node)
            continue
        one = f"{node.name}.one"
        constants[one] = np.ones(1, np.float32)
        by = node.lowered or Lowered(node.name, Clamp.__name__)
        nodes.append(replace(node, op=Mul(), inputs=(node.operand("x"), one), activation=clamp, lowered=by))
    return graph.with_nodes(nodes, constants=constants)
