"""Activations that stand by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit import curves
from edgekit.ir import Clamp, HardSigmoid, HardSwish, LeakyReLU, Op, PReLU, Sigmoid, Softmax
from edgekit.ir.operators import leaky_relu
from edgekit.ir.operators.hard_swish import LOWERED
from edgekit.ir.operators.softmax import IN_FLOAT
from edgekit.quantization import INT8_MIN
from edgekit.reference.operators.table import FLOAT, INTEGER, Arithmetic, Float, Stored

if TYPE_CHECKING:
    from edgekit.ir import Node


@FLOAT.implements(Clamp)
def clamp(op: Clamp, x: Float) -> Float:
    """The clamp of a layer, or one by itself."""
    return np.clip(x, op.low, op.high)


@FLOAT.implements(HardSwish)
def _hard_swish(_: HardSwish, x: Float) -> Float:
    return x * np.clip(x + 3, 0, 6) / 6


INTEGER.refuses(HardSwish, LOWERED)


@FLOAT.implements(HardSigmoid)
def _hard_sigmoid(_: HardSigmoid, x: Float) -> Float:
    return np.clip(x + 3, 0, 6) / 6


FLOAT.implements(Sigmoid)(curves.sigmoid)


@INTEGER.implements(Sigmoid)
def _curve_stored(_: Op, model: Arithmetic, node: Node, x: Stored) -> Stored:
    params = model.model.params
    return curves.entries(node, params[node.operand("x")], params[node.output])[x.astype(np.int16) - INT8_MIN]


@FLOAT.implements(Softmax)
def _softmax(op: Softmax, x: Float) -> Float:
    y = np.exp(x - x.max(op.axis, keepdims=True))
    return y / y.sum(op.axis, keepdims=True)


INTEGER.refuses(Softmax, IN_FLOAT)


@FLOAT.implements(LeakyReLU)
def _leaky_relu(op: LeakyReLU, x: Float) -> Float:
    return np.where(x > 0, x, op.slope * x)


@FLOAT.implements(PReLU)
def _prelu(_: PReLU, x: Float, slope: Float) -> Float:
    return np.where(x > 0, x, slope.reshape(-1, *[1] * (x.ndim - 2)) * x)


INTEGER.refuses(LeakyReLU, leaky_relu.LOWERED)
INTEGER.refuses(PReLU, leaky_relu.LOWERED)
