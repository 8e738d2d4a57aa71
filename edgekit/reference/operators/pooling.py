"""Means and other pooling."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.ir import AveragePool2d, Conv2d, MaxPool2d, Mean
from edgekit.ir.operators.average_pool2d import LOWERED
from edgekit.reference.convolution import convolve, largest
from edgekit.reference.operators.table import FLOAT, INTEGER, Arithmetic, Float, Stored

if TYPE_CHECKING:
    from edgekit.ir import Node


@FLOAT.implements(Mean)
def _mean(op: Mean, x: Float) -> Float:
    return x.mean((2, 3), keepdims=op.keep_dims)


@INTEGER.implements(Mean)
def _mean_stored(op: Mean, model: Arithmetic, node: Node, x: Stored) -> Stored:
    return model.requantize(node, model.centred(node.operand("x"), x).sum((2, 3), keepdims=op.keep_dims))


@FLOAT.implements(AveragePool2d)
def _average_pool2d(op: AveragePool2d, x: Float) -> Float:
    channels = x.shape[1]
    weights = np.full((channels, 1, *op.kernel), 1 / op.area)
    return convolve(Conv2d(op.stride, op.padding, channels), x, weights)


INTEGER.refuses(AveragePool2d, LOWERED)


@FLOAT.implements(MaxPool2d)
def _max_pool2d(op: MaxPool2d, x: Float) -> Float:
    return largest(op, x, -np.inf)


@INTEGER.implements(MaxPool2d)
def _max_pool2d_stored(op: MaxPool2d, _: Arithmetic, __: Node, x: Stored) -> Stored:
    return largest(op, x, np.iinfo(x.dtype).min)
