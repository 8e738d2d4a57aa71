"""The float executor: what calibration observes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from edgekit.executor.graph import GraphExecutor
from edgekit.executor.operators import operator_table
from edgekit.ir import Clamp, HardSwish, Mean

if TYPE_CHECKING:
    from edgekit.ir import Graph, Node

_TABLE = operator_table("the float executor")


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
    return _TABLE[node](node.op, *inputs)


def clamped(node: Node, y: torch.Tensor) -> torch.Tensor:
    """``y`` within the fused clamp of ``node``."""
    return y if node.activation is None else _clamp(node.activation, y)


@_TABLE.implements(Mean)
def _mean(op: Mean, x: torch.Tensor) -> torch.Tensor:
    return x.mean((2, 3), keepdim=op.keep_dims)


@_TABLE.implements(Clamp)
def _clamp(op: Clamp, x: torch.Tensor) -> torch.Tensor:
    return x.clamp(op.low, op.high)


@_TABLE.implements(HardSwish)
def _hard_swish(_: HardSwish, x: torch.Tensor) -> torch.Tensor:
    return F.hardswish(x)
