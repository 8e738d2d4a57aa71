"""Feature maps of another size, and the largest channel of each place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.ir import ArgMax, Resize
from edgekit.reference.operators.table import FLOAT, INTEGER, Arithmetic, Float, Stored

if TYPE_CHECKING:
    from edgekit.ir import Node


@FLOAT.implements(Resize)
def _resize(op: Resize, x: Float) -> Float:
    if not op.rounds_up:
        rows, columns = op.factors_of(x.shape[1:])
        return x.repeat(rows, 2).repeat(columns, 3)
    rows_of, columns_of = op.weights(x.shape[1:])
    return rows_of @ x @ columns_of.T


@INTEGER.implements(Resize)
def _resize_stored(op: Resize, _: Arithmetic, __: Node, x: Stored) -> Stored:
    return np.floor(_resize(op, x) + 0.5).astype(x.dtype) if op.rounds_up else _resize(op, x)


@FLOAT.implements(ArgMax)
def _arg_max(op: ArgMax, x: Float) -> Float:
    y = x if op.resize is None else _resize(op.resize, x)
    return y.argmax(1).astype(np.int32)  # of equal ones the first


@INTEGER.implements(ArgMax)
def _arg_max_stored(op: ArgMax, _: Arithmetic, __: Node, x: Stored) -> Stored:
    return _arg_max(op, x)
