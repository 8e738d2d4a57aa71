"""One function an operator, in torch: on reals, and on stored integers without their zero points.

Most compute the same on both. What an integer operator gives is what is requantized afterwards; ``LARGEST`` says how
large that can become, which decides the type that it is summed up in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.ir.registry import OperatorTable, canonical
from edgekit.quantization import INT8_MAX, INT8_MIN

if TYPE_CHECKING:
    import torch

    from edgekit.integer_model import IntegerModel
    from edgekit.ir import (
        Node,
        Op,
    )

REACH = INT8_MAX - INT8_MIN  # of a stored value minus its zero point


def requantizing(op: type[Op]) -> str:
    """The scope of what is asked of operators that accumulate integers and round them."""
    return "" if op.requantizes else "it requantizes nothing"


FLOAT: OperatorTable[..., torch.Tensor] = OperatorTable("the float executor", canonical)
INTEGER: OperatorTable[..., torch.Tensor] = OperatorTable("the integer executor", canonical)
LARGEST: OperatorTable[[IntegerModel, Node], int] = OperatorTable("the bound of accumulators", requantizing)
