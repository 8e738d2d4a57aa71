"""What the functions of operators write into: a program under construction, with what each name stands for."""

# ruff: noqa: SLF001 - torch has no public function that makes a quantized tensor from integers

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from edgekit.exporters.torch import convolution

if TYPE_CHECKING:
    from edgekit.exporters.torch import script
    from edgekit.exporters.torch.texts import Engine
    from edgekit.integer_model import IntegerModel
    from edgekit.ir import Graph, Node, Padding

UINT8_OFFSET = 128  # a quint8 value is the int8 value plus this, and so is its zero point


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class FloatWriter:
    """A float graph on its way into a program."""

    graph: Graph
    program: script.Program
    half: bool

    def operand(self, name: str) -> str:
        """The expression that reads an activation or a constant."""
        if name in self.graph.tensors:
            return self.program.variable(name)
        value = torch.tensor(self.graph.constants[name], dtype=torch.float16 if self.half else torch.float32)
        # One element as [1], which broadcasts to [N, C, H, W] and to [N, C].
        stored = self.program.attribute(name, value.reshape(1) if value.numel() == 1 else value)
        return f"{stored}.to(torch.float32)" if self.half else stored


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class IntegerWriter:
    """An integer model on its way into a program."""

    model: IntegerModel
    program: script.Program
    engine: Engine

    def scale(self, name: str) -> float:
        """The scale of an activation or constant operand."""
        return float(self.model.params[name].scale[0])

    def zero_point(self, name: str) -> int:
        """The zero point of the tensor's quint8 form, 0..255."""
        return self.model.params[name].zero_point + UINT8_OFFSET

    def operand(self, name: str) -> str:
        """The expression that reads an activation or a constant."""
        if name in self.model.graph.tensors:
            return self.program.variable(name)
        bits = torch.tensor(self.model.graph.constants[name].astype(np.int16) + UINT8_OFFSET, dtype=torch.uint8)
        # One element as [1], which broadcasts to [N, C, H, W] and to [N, C].
        bits = bits.reshape(1) if bits.numel() == 1 else bits
        value = torch._make_per_tensor_quantized_tensor(bits, self.scale(name), self.zero_point(name))
        return self.program.attribute(name, value)

    def weight_and_bias(self, node: Node, merged: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
        """The qint8 weight, axis 0 the output channel, and the float32 bias [O] of a convolution or linear layer.

        The engines take the bias as a real number and divide it by input scale times weight scale. The nearest float32
        to the exact product gives the integer back as nearly as matters: no result differed with biases below 2**22.
        With larger ones, and products that cancel them, one in ten thousand did, by 1 LSB.
        """
        weight, bias = node.read("weight", "bias")
        stored = self.model.graph.constants[weight]
        if merged > 1:
            stored = convolution.block_diagonal(stored, node.op.groups_of_weights, merged)
        channels = len(stored)
        scale = np.broadcast_to(self.model.params[weight].scale, (channels,)).astype(np.float64)
        quantized = torch._make_per_channel_quantized_tensor(
            torch.tensor(stored), torch.tensor(scale), torch.zeros(channels, dtype=torch.int64), 0
        )
        return quantized, torch.tensor(self.model.real_constant(node, bias), dtype=torch.float32)

    def padded(self, name: str, padding: Padding) -> str:
        """The expression for an activation [N, C, H, W] with real zeros around it."""
        x, scale, zero_point = self.operand(name), self.scale(name), self.zero_point(name)
        sides = padding.top, padding.bottom, padding.left, padding.right
        return self.program.call("pad", x, *sides, scale, zero_point) if padding else x
