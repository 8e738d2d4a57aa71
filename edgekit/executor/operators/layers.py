"""Layers with weights, and batch normalization."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional as F  # noqa: N812 - torch's own convention

from edgekit.executor.operators.table import FLOAT, INTEGER, LARGEST
from edgekit.ir import (
    Conv2d,
    Linear,
    Op,
)
from edgekit.quantization import accumulator_bound

if TYPE_CHECKING:
    import torch

    from edgekit.integer_model import IntegerModel
    from edgekit.ir import Node


@INTEGER.implements(Conv2d)
@FLOAT.implements(Conv2d)
def _conv2d(op: Conv2d, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    p = op.padding
    if (p.top, p.left) == (p.bottom, p.right):
        return F.conv2d(x, weight, bias, op.stride, (p.top, p.left), op.dilation, op.groups)
    x = F.pad(x, (p.left, p.right, p.top, p.bottom))
    return F.conv2d(x, weight, bias, op.stride, 0, op.dilation, op.groups)


@INTEGER.implements(Linear)
@FLOAT.implements(Linear)
def _linear(_: Linear, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return F.linear(x, weight, bias)


@LARGEST.implements(Conv2d, Linear)
def _largest_of_layer(_: Op, model: IntegerModel, node: Node) -> int:
    weight, bias = (model.graph.constants[node.operand(role)] for role in ("weight", "bias"))
    return accumulator_bound(weight, bias, model.params[node.operand("x")].zero_point)
