"""The integer interpreter: what every exported file has to compute, exactly.

Accumulators are integers held in floating point, because BLAS is fast only there: float32 is exact up to 2**24, which a
sum of K products of magnitude at most 255 * 127 keeps below for K <= 518; float64 is exact far beyond int32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.ir import Add, Conv2d, Flatten, Linear, Mean, Mul, Pad
from edgekit.ir.registry import OperatorTable
from edgekit.quantization import requantize
from edgekit.reference.convolution import convolve

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.integer_model import IntegerModel
    from edgekit.ir import Node
    from edgekit.quantization import QuantParams, Ratio

FLOAT32_EXACT_TERMS = 2**24 // (255 * 127)  # 518

Int8 = Any  # NDArray[np.int8]; the table's functions take one or more of them
_TABLE: OperatorTable[Callable[..., Any]] = OperatorTable("the integer reference")


class Reference:
    """Runs an integer model."""

    def __init__(self, model: IntegerModel) -> None:
        self.model = model
        self._centred: dict[str, NDArray[Any]] = {}

    def run(self, x: NDArray[np.int8]) -> NDArray[np.int8]:
        """The first output for int8 inputs [N, C, H, W]: int8 [N, classes]."""
        return self.run_all(x, keep=self.model.graph.outputs)[self.model.graph.outputs[0]]

    def run_all(self, x: NDArray[np.int8], keep: tuple[str, ...] | None = None) -> dict[str, NDArray[np.int8]]:
        """Every tensor by name (or those in ``keep``) for int8 inputs [N, C, H, W]."""
        graph = self.model.graph
        keep = tuple(graph.tensors) if keep is None else keep
        values: dict[str, NDArray[np.int8]] = {graph.input: x}
        last_reader = {name: node.name for node in graph for name in node.inputs}
        for node in graph:
            values[node.output] = _TABLE[node](self, node, *(values.get(name) for name in node.inputs))
            for name in node.inputs:
                if last_reader[name] == node.name and name in values and name not in keep:
                    del values[name]
        return {name: values[name] for name in keep}

    def ratio(self, node: Node) -> Ratio:
        """The requantization ratios of ``node``."""
        return self.model.ratios[node.name]

    def params(self, tensor: str) -> QuantParams:
        """The quantization parameters of a tensor or int8 constant."""
        return self.model.params[tensor]

    def constant(self, name: str, dtype: type[Any]) -> NDArray[Any]:
        """A constant of the model in floating point, converted once."""
        key = f"{name}:{dtype.__name__}"
        if key not in self._centred:
            self._centred[key] = self.model.graph.constants[name].astype(dtype)
        return self._centred[key]

    def centred(self, name: str, stored: NDArray[np.int8] | None, dtype: type[Any]) -> NDArray[Any]:
        """``stored - zero_point`` of a tensor, or of a constant where ``stored`` is None."""
        values = self.constant(name, dtype) if stored is None else stored.astype(dtype)
        zero_point = self.params(name).zero_point
        if zero_point == 0:
            return values
        return values - dtype(zero_point)  # type: ignore[no-any-return]  # numpy's scalar types are callables of Any


def _accumulator_type(terms: int) -> type[Any]:
    return np.float32 if terms <= FLOAT32_EXACT_TERMS else np.float64


@_TABLE.implements(Conv2d)
def _conv2d(model: Reference, node: Node, x: NDArray[np.int8], *_: None) -> Int8:
    assert isinstance(node.op, Conv2d)
    name, weight, bias = node.inputs
    dtype = _accumulator_type(int(np.prod(model.model.graph.constants[weight].shape[1:])))
    sums = convolve(node.op, model.centred(name, x, dtype), model.constant(weight, dtype))
    ratio = model.ratio(node)
    total = sums.astype(np.float64, copy=False) + model.constant(bias, np.float64)[:, None, None]
    return requantize(
        total, ratio.numerator[:, None, None], ratio.denominator[:, None, None], model.params(node.output).zero_point
    )


@_TABLE.implements(Linear)
def _linear(model: Reference, node: Node, x: NDArray[np.int8], *_: None) -> Int8:
    name, weight, bias = node.inputs
    dtype = _accumulator_type(model.model.graph.constants[weight].shape[1])
    sums = model.centred(name, x, dtype) @ model.constant(weight, dtype).T
    ratio = model.ratio(node)
    total = sums.astype(np.float64, copy=False) + model.constant(bias, np.float64)
    return requantize(total, ratio.numerator, ratio.denominator, model.params(node.output).zero_point)


@_TABLE.implements(Add)
def _add(model: Reference, node: Node, a: NDArray[np.int8], b: NDArray[np.int8] | None) -> Int8:
    ratio = model.ratio(node)
    p_a, p_b = ratio.numerator
    total = model.centred(node.inputs[0], a, np.float64) * p_a + model.centred(node.inputs[1], b, np.float64) * p_b
    return requantize(total, np.int64(1), ratio.denominator[0], model.params(node.output).zero_point)


@_TABLE.implements(Mul)
def _mul(model: Reference, node: Node, a: NDArray[np.int8], b: NDArray[np.int8]) -> Int8:
    product = model.centred(node.inputs[0], a, np.float64) * model.centred(node.inputs[1], b, np.float64)
    ratio = model.ratio(node)
    return requantize(product, ratio.numerator, ratio.denominator, model.params(node.output).zero_point)


@_TABLE.implements(Mean)
def _mean(model: Reference, node: Node, x: NDArray[np.int8]) -> Int8:
    assert isinstance(node.op, Mean)
    total = model.centred(node.inputs[0], x, np.float64).sum((2, 3), keepdims=node.op.keep_dims)
    ratio = model.ratio(node)
    return requantize(total, ratio.numerator, ratio.denominator, model.params(node.output).zero_point)


@_TABLE.implements(Pad)
def _pad(model: Reference, node: Node, x: NDArray[np.int8]) -> Int8:
    assert isinstance(node.op, Pad)
    p = node.op.padding
    widths = ((0, 0), (0, 0), (p.top, p.bottom), (p.left, p.right))
    return np.pad(x, widths, constant_values=model.params(node.output).zero_point)


@_TABLE.implements(Flatten)
def _flatten(model: Reference, node: Node, x: NDArray[np.int8]) -> Int8:
    return x.reshape(x.shape[0], -1)
