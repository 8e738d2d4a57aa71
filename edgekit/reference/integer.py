"""The integer interpreter: what every exported file has to compute, exactly.

Accumulators are integers held in floating point, because BLAS is fast only there: in float32 where the weights leave no
partial sum above 2**24, else in float64, which is exact far beyond int32. Layers that are kept in float run in float64.
So do those with 16-bit activations, on the reals that their integers stand for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.ir import Add, Conv2d, Dequantize, Flatten, Linear, Mean, Mul, Pad, Quantize, Requantize
from edgekit.ir.registry import OperatorTable
from edgekit.quantization import FLOAT32_EXACT, accumulator_bound, requantize
from edgekit.reference import float as float_reference
from edgekit.reference.convolution import convolve, pad
from edgekit.reference.interpreter import interpret

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import DTypeLike, NDArray

    from edgekit.integer_model import IntegerModel
    from edgekit.ir import Node

Int8 = Any  # NDArray[np.int8]; the table's functions take one or more of them
_TABLE: OperatorTable[Callable[..., NDArray[Any]]] = OperatorTable("the integer reference")


class Reference:
    """Runs an integer model."""

    def __init__(self, model: IntegerModel) -> None:
        self.model = model
        self._layers = {
            node.name: self._layer(node)
            for node in model.graph
            if isinstance(node.op, Conv2d | Linear) and model.width(node.output) == 8
        }

    def run(self, x: NDArray[np.int8]) -> NDArray[Any]:
        """The first output for int8 inputs [N, C, H, W]: int8 [N, classes], or float64 where it is kept in float."""
        output = self.model.graph.outputs[0]
        return self.run_all(x, keep=(output,))[output]

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
        """The output of ``node`` for its accumulators, [N, C, H, W] or [N, C]; those of an ADD have its numerators."""
        ratio = self.model.ratios[node.name]
        numerator, denominator = ratio.numerator, ratio.denominator
        if isinstance(node.op, Add):
            numerator, denominator = np.ones(1, np.int64), denominator[:1]
        shape = (-1, 1, 1) if total.ndim == 4 else (-1,)
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
        if self.model.width(node.output) == 8 or isinstance(node.op, Quantize | Requantize | Dequantize):
            return _TABLE[node](self, node, *inputs)
        reals = [self._real(node, name, value) for name, value in zip(node.inputs, inputs, strict=True)]
        y = float_reference.compute(node, reals)
        return self.model.params[node.output].quantize(y) if node.output in self.model.params else y

    def _real(self, node: Node, name: str, value: NDArray[Any]) -> NDArray[np.float64]:
        """What an input of a float node, or of one with 16-bit activations, stands for."""
        if name in self.model.graph.constants:
            return self.model.real_constant(node, name)
        return value * self.model.params[name].scale.astype(np.float64) if name in self.model.params else value

    def _layer(self, node: Node) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        x, weight, bias = node.inputs
        constants = self.model.graph.constants
        bound = accumulator_bound(constants[weight], constants[bias], self.model.params[x].zero_point)
        dtype = np.float32 if bound <= FLOAT32_EXACT else np.float64
        return constants[weight].astype(dtype), constants[bias].astype(dtype)


@_TABLE.implements(Conv2d)
def _conv2d(model: Reference, node: Node, x: NDArray[np.int8], *_: NDArray[Any]) -> Int8:
    assert isinstance(node.op, Conv2d)
    weight, bias = model.layer(node)
    total = convolve(node.op, model.centred(node.inputs[0], x, weight.dtype), weight)
    total += bias[:, None, None]
    return model.requantize(node, total)


@_TABLE.implements(Linear)
def _linear(model: Reference, node: Node, x: NDArray[np.int8], *_: NDArray[Any]) -> Int8:
    weight, bias = model.layer(node)
    return model.requantize(node, model.centred(node.inputs[0], x, weight.dtype) @ weight.T + bias)


@_TABLE.implements(Add)
def _add(model: Reference, node: Node, a: NDArray[np.int8], b: NDArray[np.int8]) -> Int8:
    p_a, p_b = model.model.ratios[node.name].numerator
    return model.requantize(node, model.centred(node.inputs[0], a) * p_a + model.centred(node.inputs[1], b) * p_b)


@_TABLE.implements(Mul)
def _mul(model: Reference, node: Node, a: NDArray[np.int8], b: NDArray[np.int8]) -> Int8:
    return model.requantize(node, model.centred(node.inputs[0], a) * model.centred(node.inputs[1], b))


@_TABLE.implements(Mean)
def _mean(model: Reference, node: Node, x: NDArray[np.int8]) -> Int8:
    assert isinstance(node.op, Mean)
    return model.requantize(node, model.centred(node.inputs[0], x).sum((2, 3), keepdims=node.op.keep_dims))


@_TABLE.implements(Pad)
def _pad(model: Reference, node: Node, x: NDArray[np.int8]) -> Int8:
    assert isinstance(node.op, Pad)
    return pad(x, node.op.padding, model.model.params[node.output].zero_point)


@_TABLE.implements(Flatten)
def _flatten(_model: Reference, _node: Node, x: NDArray[np.int8]) -> Int8:
    return x.reshape(len(x), -1)


@_TABLE.implements(Quantize)
def _quantize(model: Reference, node: Node, x: NDArray[np.float64]) -> Int8:
    return model.model.params[node.output].quantize(x)


@_TABLE.implements(Dequantize)
def _dequantize(model: Reference, node: Node, x: NDArray[np.int8]) -> NDArray[np.float64]:
    return model.model.params[node.inputs[0]].dequantize(x).astype(np.float64)


@_TABLE.implements(Requantize)
def _requantize(model: Reference, node: Node, x: NDArray[Any]) -> NDArray[Any]:
    source, target = (model.model.params[name] for name in (node.inputs[0], node.output))
    return target.quantize((x.astype(np.float64) - source.zero_point) * source.scale.astype(np.float64))
