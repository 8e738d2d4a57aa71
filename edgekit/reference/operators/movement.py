"""What moves values and computes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.ir import (
    Concat,
    Flatten,
    Pad,
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
