"""The integer interpreter: what every exported file has to compute, exactly.

Accumulators are integers held in floating point, because BLAS is fast only there: in float32 where the weights leave no
partial sum above 2**24, else in float64, which is exact far beyond int32. Layers that are kept in float run in float64.
So do those with 16-bit activations, on the reals that their integers stand for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.quantization import FLOAT32_EXACT, accumulator_bound, requantize
from edgekit.reference import float as float_reference
from edgekit.reference.interpreter import interpret
from edgekit.reference.operators import INTEGER

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

    from edgekit.integer_model import IntegerModel
    from edgekit.ir import Node


class Reference:
    """Runs an integer model."""

    def __init__(self, model: IntegerModel) -> None:
        self.model = model
        self._layers = {
            node.name: self._layer(node)
            for node in model.graph
            if node.op.has_weights and model.width(node.output) == 8
        }

    def run(self, x: NDArray[np.int8]) -> dict[str, NDArray[Any]]:
        """The outputs by name for int8 inputs [N, C, H, W]: int8, or float64 where they are kept in float."""
        graph = self.model.graph
        return graph.named(self.run_all(x, keep=graph.output_tensors))

    def run_all(self, x: NDArray[np.int8], keep: tuple[str, ...] | None = None) -> dict[str, NDArray[Any]]:
        """Every tensor by name (or those in ``keep``) for int8 inputs [N, C, H, W], each in the type as ``run``'s."""
        graph = self.model.graph
        keep = tuple(graph.tensors) if keep is None else keep
        return interpret(graph, x, graph.constants, self.compute, keep)

    def layer(self, node: Node) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """Weight and bias of a convolution or linear layer, in the type that it accumulates in."""
        return self._layers[node.name]

    def centred(self, name: str, stored: NDArray[np.int8], dtype: DTypeLike = np.float64) -> NDArray[np.floating]:
        """``stored - zero_point`` of a tensor or int8 constant."""
        return np.subtract(stored, self.model.params[name].zero_point, dtype=dtype)

    def requantize(self, node: Node, total: NDArray[np.floating]) -> NDArray[Any]:
        """The output of ``node`` for its accumulators, [N, C, H, W] or [N, C].

        Where each operand has a ratio of its own, they are multiplied by its numerator already.
        """
        ratio = self.model.ratios[node.name]
        numerator, denominator = ratio.numerator, ratio.denominator
        if node.op.has_ratio_per_operand:
            numerator, denominator = np.ones(1, np.int64), denominator[:1]
        shape = (-1, 1, 1) if self.model.graph.tensors[node.output].is_image else (-1,)
        zero_point = self.model.params[node.output].zero_point
        return self.round(total, numerator.reshape(shape), denominator.reshape(shape), zero_point)

    def round(
        self,
        total: NDArray[np.floating],
        numerator: NDArray[np.int64],
        denominator: NDArray[np.int64],
        zero_point: int,
    ) -> NDArray[Any]:
        """``total * numerator / denominator + zero_point`` as an integer; whoever wants it unrounded overrides this."""
        return requantize(total, numerator, denominator, zero_point)

    def compute(self, node: Node, inputs: list[NDArray[Any]]) -> NDArray[Any]:
        """The output of ``node`` for its inputs, constants included."""
        if self.model.width(node.output) == 8 or node.op.border:
            computed: NDArray[Any] = INTEGER[node](self, node, *inputs)
            return computed
        reals = [self._real(node, name, value) for name, value in zip(node.inputs, inputs, strict=True)]
        y = float_reference.compute(node, reals)
        return self.model.params[node.output].quantize(y) if node.output in self.model.params else y

    def _real(self, node: Node, name: str, value: NDArray[Any]) -> NDArray[np.float64]:
        """What an input of a float node, or of one with 16-bit activations, stands for."""
        if name in self.model.graph.constants:
            return self.model.real_constant(node, name)
        return value * self.model.params[name].scale.astype(np.float64) if name in self.model.params else value

    def _layer(self, node: Node) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        x, weight, bias = node.read("x", "weight", "bias")
        constants = self.model.graph.constants
        bound = accumulator_bound(constants[weight], constants[bias], self.model.params[x].zero_point)
        dtype = np.float32 if bound <= FLOAT32_EXACT else np.float64
        return constants[weight].astype(dtype), constants[bias].astype(dtype)
