"""One function an operator, in torch: on reals, and on stored integers without their zero points.

Most compute the same on both. What an integer operator gives is what is requantized afterwards; ``LARGEST`` says how
large that can become, which decides the type that it is summed up in.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from edgekit.ir import (
    Add,
    Clamp,
    Concat,
    Conv2d,
    Dequantize,
    Flatten,
    HardSwish,
    Linear,
    Mean,
    Mul,
    Op,
    Pad,
    Quantize,
    Requantize,
)
from edgekit.ir.operators.clamp import UNFUSED
from edgekit.ir.operators.hard_swish import LOWERED
from edgekit.ir.registry import OperatorTable, canonical
from edgekit.quantization import INT8_MAX, INT8_MIN, accumulator_bound

if TYPE_CHECKING:
    from edgekit.integer_model import IntegerModel
    from edgekit.ir import Node

_REACH = INT8_MAX - INT8_MIN  # of a stored value minus its zero point


def requantizing(op: type[Op]) -> str:
    """The scope of what is asked of operators that accumulate integers and round them."""
    return "" if op.requantizes else "it requantizes nothing"


FLOAT: OperatorTable[..., torch.Tensor] = OperatorTable("the float executor", canonical)
INTEGER: OperatorTable[..., torch.Tensor] = OperatorTable("the integer executor", canonical)
LARGEST: OperatorTable[[IntegerModel, Node], int] = OperatorTable("the bound of accumulators", requantizing)


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


@INTEGER.implements(Add)
@FLOAT.implements(Add)
def _add(_: Add, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return a + b


@LARGEST.implements(Add)
def _largest_sum(_: Add, model: IntegerModel, node: Node) -> int:
    return _REACH * int(model.ratios[node.name].numerator.sum())


@INTEGER.implements(Mul)
@FLOAT.implements(Mul)
def _mul(_: Mul, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return a * b


@LARGEST.implements(Mul)
def _largest_product(_: Mul, __: IntegerModel, ___: Node) -> int:
    return _REACH**2


@FLOAT.implements(Mean)
def _mean(op: Mean, x: torch.Tensor) -> torch.Tensor:
    return x.mean((2, 3), keepdim=op.keep_dims)


@INTEGER.implements(Mean)
def _sum(op: Mean, x: torch.Tensor) -> torch.Tensor:
    return x.sum((2, 3), keepdim=op.keep_dims)


@LARGEST.implements(Mean)
def _largest_sum_of_map(_: Mean, model: IntegerModel, node: Node) -> int:
    return _REACH * math.prod(model.graph.tensors[node.operand("x")].shape[1:])


@INTEGER.implements(Pad)
@FLOAT.implements(Pad)
def _pad(op: Pad, x: torch.Tensor) -> torch.Tensor:
    p = op.padding
    return F.pad(x, (p.left, p.right, p.top, p.bottom))


@INTEGER.implements(Flatten)
@FLOAT.implements(Flatten)
def _flatten(_: Flatten, x: torch.Tensor) -> torch.Tensor:
    return x.flatten(1)


@INTEGER.implements(Concat)
@FLOAT.implements(Concat)
def _concat(_: Concat, *xs: torch.Tensor) -> torch.Tensor:
    return torch.cat(xs, 1)


@FLOAT.implements(Clamp)
def clamp(op: Clamp, x: torch.Tensor) -> torch.Tensor:
    """The clamp of a layer, or one by itself."""
    return x.clamp(op.low, op.high)


INTEGER.refuses(Clamp, UNFUSED)


@FLOAT.implements(HardSwish)
def _hard_swish(_: HardSwish, x: torch.Tensor) -> torch.Tensor:
    return F.hardswish(x)


INTEGER.refuses(HardSwish, LOWERED)

for _border in (Quantize, Requantize, Dequantize):
    FLOAT.refuses(_border, "float graphs hold no integers")
    INTEGER.refuses(_border, "the executor converts at borders itself")
