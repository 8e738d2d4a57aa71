"""The float executor: what calibration observes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edgekit.executor.graph import GraphExecutor
from edgekit.executor.operators import FLOAT, clamp

if TYPE_CHECKING:
    from edgekit.ir import Graph, Node


class FloatExecutor(GraphExecutor):
    """Runs a canonical float Graph on normalized images [N, C, H, W], float32.

    >>> FloatExecutor(graph)(images)                      # doctest: +SKIP
    >>> FloatExecutor(graph)(images, observe=print)       # doctest: +SKIP
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph, {name: torch.from_numpy(array.copy()) for name, array in graph.constants.items()})

    def compute(self, node: Node, inputs: list[torch.Tensor]) -> torch.Tensor:
        """The output of ``node``, clamped."""
        return clamped(node, self.accumulate(node, inputs))

    def accumulate(self, node: Node, inputs: list[torch.Tensor]) -> torch.Tensor:
        """The output of ``node`` before its clamp."""
        return accumulate(node, inputs)


def accumulate(node: Node, inputs: list[torch.Tensor]) -> torch.Tensor:
    """The output of a float node before its clamp."""
    return FLOAT[node](*inputs)


def clamped(node: Node, y: torch.Tensor) -> torch.Tensor:
    """``y`` within the fused clamp of ``node``."""
    return y if node.activation is None else clamp(node.activation, y)
