"""Means and other pooling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.ir import (
    Mean,
)
from edgekit.reference.operators.table import FLOAT, INTEGER, Arithmetic, Float, Stored

if TYPE_CHECKING:
    from edgekit.ir import Node


@FLOAT.implements(Mean)
def _mean(op: Mean, x: Float) -> Float:
    return x.mean((2, 3), keepdims=op.keep_dims)


@INTEGER.implements(Mean)
def _mean_stored(op: Mean, model: Arithmetic, node: Node, x: Stored) -> Stored:
    return model.requantize(node, model.centred(node.operand("x"), x).sum((2, 3), keepdims=op.keep_dims))
