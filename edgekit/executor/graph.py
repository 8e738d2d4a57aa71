"""A Graph as a torch module that can show every tensor it makes; what operators compute is a subclass's business."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edgekit.ir import Graph, Node

    Observer = Callable[[str, torch.Tensor], None]


class GraphExecutor(torch.nn.Module):
    """Runs a Graph node by node and forgets tensors that nothing reads any more."""

    def __init__(self, graph: Graph, constants: Mapping[str, torch.Tensor]) -> None:
        super().__init__()
        self.graph = graph
        self._keys = {name: name.replace(".", "/") for name in constants}  # torch forbids dots in names
        for name, value in constants.items():
            self.register_buffer(self._keys[name], value)

    def forward(self, x: torch.Tensor, observe: Observer | None = None) -> dict[str, torch.Tensor]:
        """Run the network.

        Args:
            x: the input, [N, C, H, W].
            observe: called with the name and the value of every tensor, the input first.

        Returns:
            The outputs by name.
        """
        if x.ndim == 4:  # otherwise oneDNN would reorder the feature maps around every layer
            x = x.contiguous(memory_format=torch.channels_last)
        values = {self.graph.input: self.enter(x)}
        remaining = {name: len(self.graph.consumers(name)) for name in self.graph.tensors}
        given = self.graph.output_tensors
        if observe is not None:
            observe(self.graph.input, x)
        for node in self.graph:
            inputs = [values[name] if name in values else self.constant(name) for name in node.inputs]
            y = values[node.output] = self.compute(node, inputs)
            if observe is not None:
                observe(node.output, self.leave(node.output, y))
            for name in set(self.graph.activations(node)):
                remaining[name] -= 1
                if remaining[name] == 0 and name not in given:
                    del values[name]  # a batch of large images would otherwise hold every feature map at once
        return self.graph.named({name: self.leave(name, values[name]) for name in given})

    def constant(self, name: str) -> torch.Tensor:
        """A constant that was given, by name."""
        return self.get_buffer(self._keys[name])

    @abstractmethod
    def compute(self, node: Node, inputs: list[torch.Tensor]) -> torch.Tensor:
        """The output of ``node`` for its inputs, constants included."""

    def enter(self, x: torch.Tensor) -> torch.Tensor:
        """The form that the network's input is computed with."""
        return x

    def leave(self, tensor: str, value: torch.Tensor) -> torch.Tensor:
        """What ``compute`` made of a tensor, in the form that the outside sees."""
        del tensor
        return value
