"""One function an operator, in float64 and on integers: what numpy computes for each, side by side.

The float functions take the operator and the values of its inputs. The integer functions take the operator, the model
that runs, the node, and the stored values of its inputs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from edgekit.ir import (
    Add,
    BatchNorm,
    Clamp,
    Concat,
    Conv2d,
    Dequantize,
    Flatten,
    HardSigmoid,
    HardSwish,
    Linear,
    Mean,
    Mul,
    Op,
    Pad,
    Quantize,
    Requantize,
)
from edgekit.ir.operators.clamp import UNFUSED
from edgekit.ir.operators.hard_swish import LOWERED
from edgekit.ir.registry import OperatorTable, canonical
from edgekit.reference.convolution import convolve, pad

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from edgekit.integer_model import IntegerModel
    from edgekit.ir import Node

Float = Any  # NDArray[np.float64]
Stored = Any  # NDArray[np.int8], or of 16 bits


class Arithmetic(Protocol):
    """What the integer functions ask of the interpreter that runs them (``edgekit.reference.integer.Reference``)."""

    model: IntegerModel

    def layer(self, node: Node) -> tuple[Float, Float]:
        """Weight and bias, in the type that the layer accumulates in."""

    def centred(self, name: str, stored: Stored, dtype: DTypeLike = np.float64) -> Float:
        """``stored - zero_point``."""

    def requantize(self, node: Node, total: Float) -> Stored:
        """The output of ``node`` for its accumulators."""


FLOAT: OperatorTable[..., Float] = OperatorTable("the float reference")
INTEGER: OperatorTable[..., Stored] = OperatorTable("the integer reference", canonical)


@FLOAT.implements(Conv2d)
def _conv2d(op: Conv2d, x: Float, weight: Float, bias: Float) -> Float:
    return convolve(op, x, weight) + bias[:, None, None]


@INTEGER.implements(Conv2d)
def _conv2d_stored(op: Conv2d, model: Arithmetic, node: Node, x: Stored, *_: Stored) -> Stored:
    weight, bias = model.layer(node)
    total = convolve(op, model.centred(node.operand("x"), x, weight.dtype), weight)
    total += bias[:, None, None]
    return model.requantize(node, total)


@FLOAT.implements(Linear)
def _linear(_: Linear, x: Float, weight: Float, bias: Float) -> Float:
    return x @ weight.T + bias


@INTEGER.implements(Linear)
def _linear_stored(_: Linear, model: Arithmetic, node: Node, x: Stored, *__: Stored) -> Stored:
    weight, bias = model.layer(node)
    return model.requantize(node, model.centred(node.operand("x"), x, weight.dtype) @ weight.T + bias)


@FLOAT.implements(BatchNorm)
def _batch_norm(op: BatchNorm, x: Float, *statistics: Float) -> Float:
    gamma, beta, mean, variance = (array[:, None, None] for array in statistics)
    return gamma * (x - mean) / np.sqrt(variance + op.eps) + beta


@FLOAT.implements(Clamp)
def clamp(op: Clamp, x: Float) -> Float:
    """The clamp of a layer, or one by itself."""
    return np.clip(x, op.low, op.high)


INTEGER.refuses(Clamp, UNFUSED)


@FLOAT.implements(HardSwish)
def _hard_swish(_: HardSwish, x: Float) -> Float:
    return x * np.clip(x + 3, 0, 6) / 6


INTEGER.refuses(HardSwish, LOWERED)


@FLOAT.implements(HardSigmoid)
def _hard_sigmoid(_: HardSigmoid, x: Float) -> Float:
    return np.clip(x + 3, 0, 6) / 6


@FLOAT.implements(Add)
def _add(_: Add, a: Float, b: Float) -> Float:
    return a + b


@INTEGER.implements(Add)
def _add_stored(_: Add, model: Arithmetic, node: Node, a: Stored, b: Stored) -> Stored:
    p_a, p_b = model.model.ratios[node.name].numerator
    total = model.centred(node.operand("a"), a) * p_a + model.centred(node.operand("b"), b) * p_b
    return model.requantize(node, total)


@FLOAT.implements(Mul)
def _mul(_: Mul, a: Float, b: Float) -> Float:
    return a * b


@INTEGER.implements(Mul)
def _mul_stored(_: Mul, model: Arithmetic, node: Node, a: Stored, b: Stored) -> Stored:
    return model.requantize(node, model.centred(node.operand("a"), a) * model.centred(node.operand("b"), b))


@FLOAT.implements(Mean)
def _mean(op: Mean, x: Float) -> Float:
    return x.mean((2, 3), keepdims=op.keep_dims)


@INTEGER.implements(Mean)
def _mean_stored(op: Mean, model: Arithmetic, node: Node, x: Stored) -> Stored:
    return model.requantize(node, model.centred(node.operand("x"), x).sum((2, 3), keepdims=op.keep_dims))


@FLOAT.implements(Pad)
def _pad(op: Pad, x: Float) -> Float:
    return pad(x, op.padding)


@INTEGER.implements(Pad)
def _pad_stored(op: Pad, model: Arithmetic, node: Node, x: Stored) -> Stored:
    return pad(x, op.padding, model.model.params[node.output].zero_point)


@FLOAT.implements(Flatten)
def _flatten(_: Flatten, x: Float) -> Float:
    return x.reshape(len(x), -1)


@INTEGER.implements(Flatten)
def _flatten_stored(_: Flatten, __: Arithmetic, ___: Node, x: Stored) -> Stored:
    return x.reshape(len(x), -1)


@FLOAT.implements(Concat)
def _concat(_: Concat, *xs: Float) -> Float:
    return np.concatenate(xs, axis=1)


@INTEGER.implements(Concat)
def _concat_stored(_: Concat, __: Arithmetic, ___: Node, *xs: Stored) -> Stored:
    return np.concatenate(xs, axis=1)


for _border in (Quantize, Requantize, Dequantize):
    FLOAT.refuses(_border, "float graphs hold no integers")


@INTEGER.implements(Quantize)
def _quantize(_: Op, model: Arithmetic, node: Node, x: Float) -> Stored:
    return model.model.params[node.output].quantize(x)


@INTEGER.implements(Dequantize)
def _dequantize(_: Op, model: Arithmetic, node: Node, x: Stored) -> Float:
    return model.model.params[node.operand("x")].dequantize(x).astype(np.float64)


@INTEGER.implements(Requantize)
def _requantize(_: Op, model: Arithmetic, node: Node, x: Stored) -> Stored:
    source, target = (model.model.params[name] for name in (node.operand("x"), node.output))
    return target.quantize((x.astype(np.float64) - source.zero_point) * source.scale.astype(np.float64))
