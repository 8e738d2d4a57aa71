"""The float executor: a Graph as a torch module that can show every tensor it makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from edgekit.ir import Add, Clamp, Conv2d, Flatten, HardSwish, Linear, Mean, Mul, Pad
from edgekit.ir.registry import OperatorTable

if TYPE_CHECKING:
    from edgekit.ir import Graph, Node

Operator = Callable[..., torch.Tensor]
Observer = Callable[[str, torch.Tensor], None]
_TABLE: OperatorTable[Operator] = OperatorTable("the float executor")


class FloatExecutor(torch.nn.Module):
    """Runs a canonical float Graph.

    >>> FloatExecutor(graph)(images)                      # doctest: +SKIP
    >>> FloatExecutor(graph)(images, observe=print)       # doctest: +SKIP
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        self._keys = {name: name.replace(".", "/") for name in graph.constants}  # torch forbids dots in names
        for name, array in graph.constants.items():
            self.register_buffer(self._keys[name], torch.from_numpy(array.copy()))

    def forward(self, x: torch.Tensor, observe: Observer | None = None) -> torch.Tensor:
        """Run the network.

        Args:
            x: normalized images, [N, C, H, W], float32.
            observe: called with the name and the value of every tensor, the input first.

        Returns:
            The first output, [N, classes].
        """
        values = {self.graph.input: x}
        remaining = {name: len(self.graph.consumers(name)) for name in self.graph.tensors}
        if observe is not None:
            observe(self.graph.input, x)
        for node in self.graph:
            inputs = [values[n] if n in values else self.get_buffer(self._keys[n]) for n in node.inputs]
            y = _TABLE[node](node, *inputs)
            if node.activation is not None:
                y = y.clamp(node.activation.low, node.activation.high)
            values[node.output] = y
            if observe is not None:
                observe(node.output, y)
            for name in self.graph.activations(node):
                remaining[name] -= 1
                if remaining[name] == 0 and name not in self.graph.outputs:
                    del values[name]  # a batch of large images would otherwise hold every feature map at once
        return values[self.graph.outputs[0]]


@_TABLE.implements(Conv2d)
def _conv2d(node: Node, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    assert isinstance(node.op, Conv2d)
    p = node.op.padding
    if (p.top, p.left) == (p.bottom, p.right):
        return F.conv2d(x, weight, bias, node.op.stride, (p.top, p.left), groups=node.op.groups)
    padded = F.pad(x, (p.left, p.right, p.top, p.bottom))
    return F.conv2d(padded, weight, bias, node.op.stride, groups=node.op.groups)


@_TABLE.implements(Linear)
def _linear(node: Node, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return F.linear(x, weight, bias)


@_TABLE.implements(Add)
def _add(node: Node, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return a + b


@_TABLE.implements(Mul)
def _mul(node: Node, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return a * b


@_TABLE.implements(Mean)
def _mean(node: Node, x: torch.Tensor) -> torch.Tensor:
    assert isinstance(node.op, Mean)
    return x.mean((2, 3), keepdim=node.op.keep_dims)


@_TABLE.implements(Pad)
def _pad(node: Node, x: torch.Tensor) -> torch.Tensor:
    assert isinstance(node.op, Pad)
    p = node.op.padding
    return F.pad(x, (p.left, p.right, p.top, p.bottom))


@_TABLE.implements(Flatten)
def _flatten(node: Node, x: torch.Tensor) -> torch.Tensor:
    return x.flatten(1)


@_TABLE.implements(Clamp)
def _clamp(node: Node, x: torch.Tensor) -> torch.Tensor:
    assert isinstance(node.op, Clamp)
    return x.clamp(node.op.low, node.op.high)


@_TABLE.implements(HardSwish)
def _hard_swish(node: Node, x: torch.Tensor) -> torch.Tensor:
    return F.hardswish(x)
