"""Layers with weights, and batch normalization."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.ir import (
    BatchNorm,
    Conv2d,
    Linear,
    TransposedConv2d,
)
from edgekit.reference.convolution import convolve
from edgekit.reference.operators.table import FLOAT, INTEGER, Arithmetic, Float, Stored

if TYPE_CHECKING:
    from edgekit.ir import Node


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


@FLOAT.implements(TransposedConv2d)
def _transposed_conv2d(op: TransposedConv2d, x: Float, weight: Float, bias: Float) -> Float:
    """Each number's weights are added where they belong."""
    n, _, height, width = x.shape
    made, of_group, rows, columns = weight.shape
    (s_h, s_w), p = op.stride, op.padding
    whole = np.zeros((n, made, (height - 1) * s_h + rows + op.more[0], (width - 1) * s_w + columns + op.more[1]))
    parts, kernels = x.reshape(n, op.groups, of_group, -1), weight.reshape(op.groups, -1, of_group, rows, columns)
    for i, j in np.ndindex(rows, columns):
        sums = (kernels[..., i, j] @ parts).reshape(n, made, height, width)
        whole[:, :, i : i + s_h * height : s_h, j : j + s_w * width : s_w][:, :, :height, :width] += sums
    ends = whole.shape[2] - p.bottom, whole.shape[3] - p.right
    return whole[:, :, p.top : ends[0], p.left : ends[1]] + bias[:, None, None]
