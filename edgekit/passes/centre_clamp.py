"""A clamp that leaves 0 out -> one that ends at 0, and two sums.

Given   y = clamp(x, low, high) with low > 0
Result  y = clamp(x - low, 0, high - low) + low
Given   y = clamp(x, low, high) with high < 0
Result  y = clamp(x - high, low - high, 0) + high

In integers a clamp is nothing but the range of its tensor, and every range holds 0. What is added often becomes part of
a bias (``fold_constants``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgekit.ir import Add, Clamp, Graph, Lowered, Node, Tensor
from edgekit.passes.matching import Pattern

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CLAMP = Pattern(Clamp)


def centre_clamp(graph: Graph) -> Graph:
    """Rewrite every Clamp that does not let 0 through."""
    nodes: list[Node] = []
    tensors: dict[str, Tensor] = {}
    constants: dict[str, NDArray[np.float32]] = {}
    for node in graph:
        clamp = _CLAMP.match(node)
        if clamp is None or clamp.low <= 0 <= clamp.high:
            nodes.append(node)
            continue
        end = clamp.low if clamp.low > 0 else clamp.high
        moved, clamped, down, up = (f"{node.name}.{part}" for part in ("moved", "clamped", "down", "up"))
        tensors |= {name: replace(graph.tensors[node.output], name=name) for name in (moved, clamped)}
        constants |= {down: np.array([-end], np.float32), up: np.array([end], np.float32)}
        parts = (
            Node(moved, Add(), (node.operand("x"), down), moved),
            Node(clamped, Clamp(clamp.low - end, clamp.high - end), (moved,), clamped),
            Node(node.name, Add(), (clamped, up), node.output),
        )
        nodes += [replace(part, lowered=Lowered(node.name, Clamp.__name__)) for part in parts]
    return graph.with_nodes(nodes, tensors, constants)
