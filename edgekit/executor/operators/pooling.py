"""Means and other pooling."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edgekit.executor.operators.table import FLOAT, INTEGER, LARGEST, REACH
from edgekit.ir import (
    Mean,
)

if TYPE_CHECKING:
    import torch

    from edgekit.integer_model import IntegerModel
    from edgekit.ir import Node


@FLOAT.implements(Mean)
def _mean(op: Mean, x: torch.Tensor) -> torch.Tensor:
    return x.mean((2, 3), keepdim=op.keep_dims)


@INTEGER.implements(Mean)
def _sum(op: Mean, x: torch.Tensor) -> torch.Tensor:
    return x.sum((2, 3), keepdim=op.keep_dims)


@LARGEST.implements(Mean)
def _largest_sum_of_map(_: Mean, model: IntegerModel, node: Node) -> int:
    return REACH * math.prod(model.graph.tensors[node.operand("x")].shape[1:])
