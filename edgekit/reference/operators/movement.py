"""What moves values and computes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.ir import (
    Concat,
    Pad,
    Rearrange,
    Slice,
)
from edgekit.reference.convolution import pad
from edgekit.reference.operators.table import FLOAT, INTEGER, Arithmetic, Float, Stored

if TYPE_CHECKING:
    from edgekit.ir import Node


@FLOAT.implements(Pad)
def _pad(op: Pad, x: Float) -> Float:
    return pad(_with_channels(op, x, 0), op.padding)


@INTEGER.implements(Pad)
def _pad_stored(op: Pad, model: Arithmetic, node: Node, x: Stored) -> Stored:
    zero_point = model.model.params[node.output].zero_point
    return pad(_with_channels(op, x, zero_point), op.padding, zero_point)


def _with_channels(op: Pad, x: Float, value: float) -> Float:
    return np.pad(x, ((0, 0), op.channels_around, (0, 0), (0, 0)), constant_values=value)


@FLOAT.implements(Rearrange)
def _rearrange(op: Rearrange, x: Float) -> Float:
    order = (0, *(1 + axis for axis in op.order))
    return x.reshape(len(x), *op.split).transpose(order).reshape(len(x), *op.shape)


@INTEGER.implements(Rearrange)
def _rearrange_stored(op: Rearrange, _: Arithmetic, __: Node, x: Stored) -> Stored:
    return _rearrange(op, x)


@FLOAT.implements(Concat)
def _concat(op: Concat, *xs: Float) -> Float:
    return np.concatenate(xs, axis=1 + op.axis)


@INTEGER.implements(Concat)
def _concat_stored(op: Concat, _: Arithmetic, __: Node, *xs: Stored) -> Stored:
    return np.concatenate(xs, axis=1 + op.axis)


@FLOAT.implements(Slice)
def _slice(op: Slice, x: Float) -> Float:
    return x[op.indices]


@INTEGER.implements(Slice)
def _slice_stored(op: Slice, _: Arithmetic, __: Node, x: Stored) -> Stored:
    return x[op.indices]
