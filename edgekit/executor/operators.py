"""Operators that compute the same in float and on integers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional as F  # noqa: N812 - torch's own convention

from edgekit.ir import Add, Conv2d, Flatten, Linear, Mul, Pad
from edgekit.ir.registry import OperatorTable

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from edgekit.ir import Op

    Operator = Callable[..., torch.Tensor]


def _conv2d(op: Conv2d, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    p = op.padding
    if (p.top, p.left) == (p.bottom, p.right):
        return F.conv2d(x, weight, bias, op.stride, (p.top, p.left), groups=op.groups)
    return F.conv2d(F.pad(x, (p.left, p.right, p.top, p.bottom)), weight, bias, op.stride, groups=op.groups)


def _linear(_: Linear, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return F.linear(x, weight, bias)


def _add(_: Add, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return a + b


def _mul(_: Mul, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return a * b


def _pad(op: Pad, x: torch.Tensor) -> torch.Tensor:
    p = op.padding
    return F.pad(x, (p.left, p.right, p.top, p.bottom))


def _flatten(_: Flatten, x: torch.Tensor) -> torch.Tensor:
    return x.flatten(1)


def operator_table(owner: str) -> OperatorTable[Operator]:
    """A table that holds these operators, for ``owner`` to add its own to."""
    table: OperatorTable[Operator] = OperatorTable(owner)
    shared: dict[type[Op], Operator] = {
        Conv2d: _conv2d,
        Linear: _linear,
        Add: _add,
        Mul: _mul,
        Pad: _pad,
        Flatten: _flatten,
    }
    for op, function in shared.items():
        table.implements(op)(function)
    return table
