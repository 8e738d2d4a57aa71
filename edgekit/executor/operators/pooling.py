"""Means and other pooling."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch.nn import functional as F  # noqa: N812 - torch's own convention

from edgekit.executor.operators.table import FLOAT, INTEGER, LARGEST, REACH
from edgekit.ir import AveragePool2d, MaxPool2d, Mean
from edgekit.ir.operators.average_pool2d import LOWERED

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


@FLOAT.implements(AveragePool2d)
def _average_pool2d(op: AveragePool2d, x: torch.Tensor) -> torch.Tensor:
    p = op.padding
    return F.avg_pool2d(F.pad(x, (p.left, p.right, p.top, p.bottom)), op.kernel, op.stride)


INTEGER.refuses(AveragePool2d, LOWERED)


@INTEGER.implements(MaxPool2d)
@FLOAT.implements(MaxPool2d)
def _max_pool2d(op: MaxPool2d, x: torch.Tensor) -> torch.Tensor:
    p = op.padding
    if p:
        x = F.pad(x, (p.left, p.right, p.top, p.bottom), value=-math.inf)
    return F.max_pool2d(x, op.kernel, op.stride, 0, op.dilation)
