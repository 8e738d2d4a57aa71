"""Sums and products."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.executor.operators.table import FLOAT, INTEGER, LARGEST, REACH
from edgekit.ir import (
    Add,
    Mul,
)

if TYPE_CHECKING:
    import torch

    from edgekit.integer_model import IntegerModel
    from edgekit.ir import Node


@INTEGER.implements(Add)
@FLOAT.implements(Add)
def _add(_: Add, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return a + b


@LARGEST.implements(Add)
def _largest_sum(_: Add, model: IntegerModel, node: Node) -> int:
    return REACH * int(model.ratios[node.name].numerator.sum())


@INTEGER.implements(Mul)
@FLOAT.implements(Mul)
def _mul(_: Mul, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return a * b


@LARGEST.implements(Mul)
def _largest_product(_: Mul, __: IntegerModel, ___: Node) -> int:
    return REACH**2
