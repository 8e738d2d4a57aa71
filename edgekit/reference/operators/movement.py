"""What moves values and computes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.ir import (
    Concat,
    Pad,
    Rearrange,
)
from edgekit.reference.convolution import pad
from edgekit.reference.operators.table import FLOAT, INTEGER, Arithmetic, Float, Stored

if TYPE_CHECKING:
    from edgekit.ir import Node


@FLOAT.implements(Pad)
def _pad(op: Pad, x: Float) -> Float:
    return pad(x, op.padding)


@INTEGER.implements(Pad)
def _pad_stored(op: Pad, model: Arithmetic, node: Node, x: Stored) -> Stored:
    return pad(x, op.padding, model.model.params[node.output].zero_point)


@FLOAT.implements(Rearrange)
def _rearrange(op: Rearrange, x: Float) -> Float:
    order = (0, *(1 + axis for axis in op.order))
    return x.reshape(len(x), *op.split).transpose(order).reshape(len(x), *op.shape)


@INTEGER.implements(Rearrange)
def _rearrange_stored(op: Rearrange, _: Arithmetic, __: Node, x: Stored) -> Stored:
    return _rearrange(op, x)


@FLOAT.implements(Concat)
def _concat(_: Concat, *xs: Float) -> Float:
    return np.concatenate(xs, axis=1)


@INTEGER.implements(Concat)
def _concat_stored(_: Concat, __: Arithmetic, ___: Node, *xs: Stored) -> Stored:
    return np.concatenate(xs, axis=1)
