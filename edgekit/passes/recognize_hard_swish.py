"""Hard-swish and hard-sigmoid that are written out in parts -> one operator.

Given   y = s3 (s1 x) (s2 clamp(a x + b, l, h))     with every s, a and b spread over any Mul and Add by constants
Result  y = hard-swish(x)                           if (a, b, l, h) times s1 s2 s3 is (1/6, 1/2, 0, 1)
Given   y = s clamp(a x + b, l, h)
Result  y = hard-sigmoid(x)                         if (a, b, l, h) times s is (1/6, 1/2, 0, 1)

So networks write x * relu6(x + 3) / 6, x * (relu6(x + 3) * 0.16667), x * clamp(x / 6 + 0.5, 0, 1) and more, some by
choice and some because a converter took the operator apart. The parts stay for whoever else reads them; ``remove_dead``
takes the rest.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edgekit.ir import Add, Clamp, Graph, HardSigmoid, HardSwish, Mul
from edgekit.passes.matching import Pattern, constant_operand, number_operand

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgekit.ir import Node

_SUM, _PRODUCT, _CLAMP, _SIGMOID = Pattern(Add), Pattern(Mul), Pattern(Clamp), Pattern(HardSigmoid)
_TOLERANCE = 1e-4  # relative: TensorFlow's networks write 1/6 as 0.16667


@dataclass(frozen=True, slots=True)
class _Gate:
    """clamp(slope x + offset, low, high)."""

    x: str
    slope: float
    offset: float
    low: float
    high: float

    def is_hard_sigmoid(self, scale: float) -> bool:
        """Whether ``scale`` times this is a hard-sigmoid."""
        found = np.array([self.slope, self.offset, self.low, self.high]) * scale
        return np.allclose(found, [1 / 6, 1 / 2, 0, 1], rtol=_TOLERANCE, atol=0)


def recognize_hard_swish(graph: Graph) -> Graph:
    """Replace every node that ends such a pattern by HardSwish or HardSigmoid."""
    nodes: list[Node] = []
    for node in graph:
        if not (_PRODUCT.match(node) or _CLAMP.match(node)):
            nodes.append(node)
        elif (x := _hard_swished(graph, node.output)) is not None:
            nodes.append(replace(node, op=HardSwish(), inputs=(x,)))
        elif (x := next((g.x for g in _gates(graph, node.output) if g.is_hard_sigmoid(1.0)), None)) is not None:
            nodes.append(replace(node, op=HardSigmoid(), inputs=(x,)))
        else:
            nodes.append(node)
    return graph.with_nodes(nodes)


def _hard_swished(graph: Graph, tensor: str) -> str | None:
    """The x of which ``tensor`` is the hard-swish."""
    for scale, product in _scaled(graph, tensor):
        node = graph.producer(product)
        if node is None or not _PRODUCT.match(node) or constant_operand(graph, node):
            continue
        for left, right in (node.inputs, node.inputs[::-1]):
            for (factor, x), gate in itertools.product(_scaled(graph, left), _gates(graph, right)):
                if gate.x == x and gate.is_hard_sigmoid(scale * factor):
                    return x
    return None


def _gates(graph: Graph, tensor: str) -> Iterator[_Gate]:
    """Every way to say ``tensor`` as a clamp of something."""
    for scale, clamped in _scaled(graph, tensor):
        node = graph.producer(clamped)
        if node is not None and (clamp := _CLAMP.match(node)):
            for slope, offset, x in _affine(graph, node.operand("x")):
                yield _Gate(x, scale * slope, scale * offset, scale * clamp.low, scale * clamp.high)
        elif node is not None and _SIGMOID.match(node):
            yield _Gate(node.operand("x"), scale / 6, scale / 2, 0.0, scale)


def _scaled(graph: Graph, tensor: str) -> Iterator[tuple[float, str]]:
    """Every (scale, x) with ``tensor`` = scale x, from 1 and itself backwards."""
    return ((slope, x) for slope, offset, x in _affine(graph, tensor) if offset == 0)


def _affine(graph: Graph, tensor: str) -> Iterator[tuple[float, float, str]]:
    """Every (slope, offset, x) with ``tensor`` = slope x + offset, from 1, 0 and itself backwards."""
    slope, offset = 1.0, 0.0
    while True:
        yield slope, offset, tensor
        node = graph.producer(tensor)
        if node is None or not (_SUM.match(node) or _PRODUCT.match(node)):
            return
        operand = number_operand(graph, node)
        if operand is None:
            return
        tensor = node.operand("a")
        if _SUM.match(node):
            offset += slope * operand
        else:
            slope *= operand
