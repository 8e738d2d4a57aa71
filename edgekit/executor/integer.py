"""The integer executor: an IntegerModel in torch, for batches, with exactly the integers of the reference.

Inside, a tensor is ``stored - zero_point`` in float32. So padding is padding with zeros, and operators are those of the
float executor, followed by a requantization. Why nothing is lost:

- Accumulators are integers. All their partial sums are exact in float32 while none can exceed 2**24, which the weights
  decide; layers with larger weights run in float64.
- Requantization multiplies by p / q rounded to float32 and rounds the product, so what lies within int8 is off by at
  most 255 * 2 * 2**-24 = 3.1e-5. That rounds to the right integer, as the exact result is at least 1 / (2 q) away from
  a tie (``edgekit.quantization``), which is 6.1e-5 even for q = 8192. Larger q take float64, too.

- Weighted means of integers are exact where the weights are as ``edgekit.ir.operators.resize`` has them, and so is the
  half that is added before they are rounded down.
- What is a table in integers is computed of reals, in float32, and rounded: that errs by less than 1e-4 steps, and no
  entry of the table is so near to a tie (``edgekit.curves``).

A tensor that is kept in float is what it is, and layers that are kept in float are those of the float executor. So are
layers with 16-bit activations, on the reals that their integers stand for; in float32 they can be off by a step of 16
bits here and there, as the kernels are.

That asks for convolutions that only multiply and add, as torch's do on a CPU (Winograd's algorithm divides), and for
float32 that is not cut down to bfloat16: ``torch.set_float32_matmul_precision`` has to stay at "highest", its default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from edgekit.executor import float as float_executor
from edgekit.executor.graph import GraphExecutor
from edgekit.executor.operators import INTEGER, LARGEST
from edgekit.ir.operators.operator import Border
from edgekit.quantization import FLOAT32_EXACT

if TYPE_CHECKING:
    from edgekit.integer_model import IntegerModel
    from edgekit.ir import Node

_FLOAT32_DENOMINATOR = 8192  # see the module's docstring


class IntegerExecutor(GraphExecutor):
    """Runs an integer model on int8 inputs [N, C, H, W].

    Every tensor it shows, and its result, is int8, or int16 or float32 where it is more precise.

    >>> IntegerExecutor(model)(stored)                      # doctest: +SKIP
    >>> IntegerExecutor(model)(stored, observe=print)       # doctest: +SKIP
    """

    def __init__(self, model: IntegerModel) -> None:
        self.model = model
        constants: dict[str, torch.Tensor] = {}
        for node in model.graph:
            constants |= self._constants(node)
        super().__init__(model.graph, constants)

    def enter(self, x: torch.Tensor) -> torch.Tensor:
        """Stored integers without their zero point, float32."""
        return x.to(torch.float32) - self._zero_point(self.model.graph.input)

    def leave(self, tensor: str, value: torch.Tensor) -> torch.Tensor:
        """Stored integers, int8 or int16; reals as they are."""
        if tensor not in self.model.params:
            return value
        return (value + self._zero_point(tensor)).to(torch.int8 if self.model.width(tensor) == 8 else torch.int16)

    def compute(self, node: Node, inputs: list[torch.Tensor]) -> torch.Tensor:
        """The output of ``node``: stored integers without their zero point, or reals."""
        if node.op.border is Border.TO_INDICES:
            return INTEGER[node](*inputs)
        if node.op.border:
            return self._converted(node, *inputs)
        total = self.accumulate(node, inputs)
        if self._computes_reals(node):
            real = float_executor.clamped(node, total)
            stored = node.output in self.model.params  # in 16 bits, or a table's entry
            return self._saturated(node.output, real / self._scale(node.output)) if stored else real
        if node.op.rounds_up:
            return self.round_up(total)
        if node.name not in self.model.ratios:
            return total
        return self._saturated(node.output, total.mul_(self.constant(ratio_name(node))))

    def accumulate(self, node: Node, inputs: list[torch.Tensor]) -> torch.Tensor:
        """What is requantized to the output of ``node``: integers; the output itself where nothing is requantized.

        Of a float node, of one with 16-bit activations, and of what is a table, the real output before its clamp.
        """
        if self._computes_reals(node):
            stored = self.model.params.keys() & self.model.graph.tensors.keys()
            pairs = zip(node.inputs, inputs, strict=True)
            return float_executor.accumulate(
                node, [x * self._scale(name) if name in stored else x for name, x in pairs]
            )
        if node.name in self.model.ratios:
            dtype = self.constant(ratio_name(node)).dtype
            inputs = [value.to(dtype) for value in inputs]
        if node.op.has_ratio_per_operand:
            inputs = [value * int(p) for value, p in zip(inputs, self.model.ratios[node.name].numerator, strict=True)]
        return INTEGER[node](*inputs)

    def _computes_reals(self, node: Node) -> bool:
        """Whether a node works on what integers stand for, if they are any."""
        return node.op.tabulated or self.model.width(node.output) != 8

    def _converted(self, node: Node, x: torch.Tensor) -> torch.Tensor:
        """What stands at a border: integers as reals, reals as integers, or integers as those of another width."""
        source, target = node.operand("x"), node.output
        if target not in self.model.params:
            return x * self._scale(source)
        if source not in self.model.params:
            return self._saturated(target, x / self._scale(target))
        return self._saturated(target, x * (self._scale(source) / self._scale(target)))

    def _saturated(self, tensor: str, steps: torch.Tensor) -> torch.Tensor:
        """``steps`` rounded, within the type, without the zero point of ``tensor``; ``steps`` is overwritten."""
        params = self.model.params[tensor]
        limits = np.iinfo(params.dtype)
        rounded = self.round(steps).clamp_(limits.min - params.zero_point, limits.max - params.zero_point)
        return rounded.to(torch.float32)

    def round(self, steps: torch.Tensor) -> torch.Tensor:
        """The nearest integers, half to even; ``steps`` is overwritten."""
        return steps.round_()

    def round_up(self, steps: torch.Tensor) -> torch.Tensor:
        """The nearest integers, halves upwards."""
        return torch.floor(steps + 0.5)

    def _scale(self, tensor: str) -> float:
        return float(self.model.params[tensor].scale[0])

    def _zero_point(self, tensor: str) -> int:
        return self.model.params[tensor].zero_point

    def _constants(self, node: Node) -> dict[str, torch.Tensor]:
        """Weights and other constants of ``node`` without zero points, and its ratio, in the type it computes in."""
        graph, ratio = self.model.graph, self.model.ratios.get(node.name)
        if ratio is None:  # those of a float node, or of one with 16-bit activations; others have none
            names = [name for name in node.inputs if name in graph.constants]
            return {name: torch.from_numpy(self.model.real_constant(node, name).astype(np.float32)) for name in names}
        exact = LARGEST[node](self.model, node) <= FLOAT32_EXACT and ratio.denominator.max() <= _FLOAT32_DENOMINATOR
        dtype = np.float32 if exact else np.float64
        # Where each operand has a ratio, it is multiplied by its numerator first, to stay with integers.
        factor = 1 / ratio.denominator[:1] if node.op.has_ratio_per_operand else ratio.value
        values = {ratio_name(node): factor.reshape(-1, *[1] * (len(graph.tensors[node.output].shape) - 1))}
        for name in node.inputs:
            if name in graph.constants:
                params = self.model.params.get(name)
                values[name] = graph.constants[name].astype(np.float64) - (params.zero_point if params else 0)
        return {name: torch.from_numpy(value.astype(dtype)) for name, value in values.items()}


def ratio_name(node: Node) -> str:
    """The name of the node's ratio among the executor's constants."""
    return f"{node.name}:ratio"
