"""Leaky ReLU and PReLU in operators that every integer kernel has.

Given   y = x where x > 0, else a x                  with one number a between 0 and 1
Result  s = a x;  p = max((1 - a) / a s, 0);  y = s + p
Given   the same with numbers up to 1, one a channel
Result  p = max((a - 1) x, 0);  y = x + p
Given   the same with numbers from 1 up
Result  p = min((a - 1) x, 0);  y = x + p
Given   the same with any numbers
Result  n = min(x, 0);  p = (a - 1) n;  y = x + p

All are equal in real arithmetic, as below 0 x + (a - 1) x = a x. So two elementwise operators serve, a MUL whose clamp
is the end of its range and an ADD, where its two parts and their sum would be three. The first form loses no precision
below 0, where the second adds two numbers that nearly cancel; its scale a becomes part of the layer before it
(``fold_constants``), or 1 / a part of those behind (``absorb_scales``).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgekit.ir import Add, Clamp, Graph, LeakyReLU, Lowered, Mul, Node, PReLU
from edgekit.passes.matching import Pattern

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.ir import Tensor

_LEAKY, _LEARNED = Pattern(LeakyReLU), Pattern(PReLU)
_ABOVE, _BELOW = Clamp(0.0), Clamp(-math.inf, 0.0)


def lower_leaky_relu(graph: Graph) -> Graph:
    """Rewrite every LeakyReLU and PReLU."""
    nodes: list[Node] = []
    tensors: dict[str, Tensor] = {}
    constants: dict[str, NDArray[np.float32]] = {}
    for node in graph:
        slope = _slope(graph, node)
        if slope is None:
            nodes.append(node)
            continue
        parts = _Parts(graph, node)
        if slope.size == 1 and 0 < slope.item() < 1:
            x = parts.times("slope", parts.x, slope)
            parts.sum(x, parts.times("positive", x, (1 - slope) / slope, _ABOVE))
        elif (slope <= 1).all():
            parts.sum(parts.x, parts.times("rest", parts.x, slope - 1, _ABOVE))
        elif (slope >= 1).all():
            parts.sum(parts.x, parts.times("rest", parts.x, slope - 1, _BELOW))
        else:
            negative = parts.times("negative", parts.x, np.ones(1), _BELOW)
            parts.sum(parts.x, parts.times("rest", negative, slope - 1))
        nodes += parts.nodes
        tensors |= parts.tensors
        constants |= parts.constants
    return graph.with_nodes(nodes, tensors, constants)


def _slope(graph: Graph, node: Node) -> NDArray[np.float64] | None:
    """One number, or one a channel, that broadcasts with the feature map; None of other operators."""
    if (leaky := _LEAKY.match(node)) is not None:
        return np.array([leaky.slope])
    if _LEARNED.match(node) is None:
        return None
    _, *others = graph.tensors[node.output].shape
    return graph.constants[node.operand("slope")].astype(np.float64).reshape(-1, *(1 for _ in others))


class _Parts:
    """The nodes that take the place of one."""

    def __init__(self, graph: Graph, node: Node) -> None:
        self.x = node.operand("x")
        self.nodes: list[Node] = []
        self.tensors: dict[str, Tensor] = {}
        self.constants: dict[str, NDArray[np.float32]] = {}
        self._node, self._made = node, graph.tensors[node.output]
        self._lowered = Lowered(node.name, type(node.op).__name__)

    def times(self, part: str, x: str, factor: NDArray[np.float64], clamp: Clamp | None = None) -> str:
        """A product with a constant."""
        name = f"{self._node.name}.{part}"
        constant = f"{name}.factor"
        self.constants[constant] = factor.astype(np.float32)
        self.tensors[name] = replace(self._made, name=name)
        self.nodes.append(Node(name, Mul(), (x, constant), name, clamp, self._lowered))
        return name

    def sum(self, a: str, b: str) -> None:
        """What the node makes."""
        self.nodes.append(replace(self._node, op=Add(), inputs=(a, b), lowered=self._lowered))
