"""What several passes ask about a graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.ir import Add, Conv2d, Linear, Mul

if TYPE_CHECKING:
    from edgekit.ir import Graph

# What takes a clamp: every format and every integer kernel clamps the result of these at no cost.
CLAMPABLE = Conv2d | Linear | Add | Mul


def has_one_reader(graph: Graph, tensor: str) -> bool:
    """Whether one node reads ``tensor`` and nobody else sees it, so that it may change or go along with that node."""
    return tensor not in graph.outputs and len(graph.consumers(tensor)) == 1
