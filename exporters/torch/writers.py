"""What the functions of operators write into: a program under construction, with what each name stands for."""

# ruff: noqa: SLF001 - torch has no public function that makes a quantized tensor from integers

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from edgekit.exporters.torch import convolution

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from edgekit.exporters.torch import script
    from edgekit.exporters.torch.texts import Engine
    from edgekit.integer_model import IntegerModel
    from edgekit.ir import Graph, Node, Padding
    from edgekit.quantization import QuantParams

UINT8_OFFSET = 128  # a quint8 value is the int8 value plus this, and so is its zero point


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class FloatWriter:
    """A float graph on its way into a program.

    Attributes:
        graph: what is written.
        program: that it is written into.
        half: store constants in float16.
        grids: scales of weights that are stored in int8, by name.
        dynamic: of them, those of layers that quantize what they read, where torch can do that.
        reduced: such a layer quantizes to seven bits, as FBGEMM's kernels want it.
    """

    graph: Graph
    program: script.Program
    half: bool = False
    grids: Mapping[str, QuantParams] = field(default_factory=dict)
    dynamic: Collection[str] = ()
    reduced: bool = False

    def operand(self, name: str) -> str:
        """The expression that reads an activation or a constant."""
        if name in self.graph.tensors:
            return self.program.variable(name)
        if name in self.grids:
            integers = torch.tensor(self.grids[name].quantize(self.graph.constants[name]))
            scale = torch.tensor(self.grids[name].scale.reshape(-1, *[1] * (integers.dim() - 1)))
            attributes = {"int8": integers, "scale": scale}
            factors = [self.program.attribute(f"{name}.{key}", tensor) for key, tensor in attributes.items()]
            return f"torch.mul({', '.join(factors)})"
        value = torch.tensor(self.graph.constants[name], dtype=torch.float16 if self.half else torch.float32)
        # One element as [1], which broadcasts to [N, C, H, W] and to [N, C].
        stored = self.program.attribute(name, value.reshape(1) if value.numel() == 1 else value)
        return f"{stored}.to(torch.float32)" if self.half else stored

    def dynamic_linear(self, node: Node, x: str) -> str:
        """The expression for a layer of products alone, of [..., I], which quantizes what it reads.

        Its range is that of the whole tensor, of all images together.
        """
        weight, bias = node.read("weight", "bias")
        grid = self.grids[weight]
        stored = torch.tensor(grid.quantize(self.graph.constants[weight]).reshape(len(grid.scale), -1))
        quantized = _per_channel(stored, grid.scale)
        real = torch.tensor(self.graph.constants[bias], dtype=torch.float32)
        packed = self.program.attribute(f"{node.name}.packed", torch.ops.quantized.linear_prepack(quantized, real))
        return f"torch.ops.quantized.linear_dynamic({x}, {packed}, {self.reduced})"


def _per_channel(stored: torch.Tensor, scale: NDArray[np.floating]) -> torch.Tensor:
    """The qint8 tensor of a weight, axis 0 the output channel."""
    zero_points = torch.zeros(len(stored), dtype=torch.int64)
    scales = torch.tensor(np.broadcast_to(scale, (len(stored),)).astype(np.float64))
    quantized: torch.Tensor = torch._make_per_channel_quantized_tensor(stored, scales, zero_points, 0)
    return quantized


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
        quantized = _per_channel(torch.tensor(stored), self.model.params[weight].scale)
        return quantized, torch.tensor(self.model.real_constant(node, bias), dtype=torch.float32)

    def padded(self, name: str, padding: Padding) -> str:
        """The expression for an activation [N, C, H, W] with real zeros around it."""
        x, scale, zero_point = self.operand(name), self.scale(name), self.zero_point(name)
        sides = padding.top, padding.bottom, padding.left, padding.right
        return self.program.call("pad", x, *sides, scale, zero_point) if padding else x
