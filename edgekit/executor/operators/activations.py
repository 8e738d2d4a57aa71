"""Activations that stand by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional as F  # noqa: N812 - torch's own convention

from edgekit.executor.operators.table import FLOAT, INTEGER, LARGEST
from edgekit.ir import HardSwish, LeakyReLU, PReLU, Sigmoid, Softmax
from edgekit.ir.operators import leaky_relu
from edgekit.ir.operators.hard_swish import LOWERED
from edgekit.ir.operators.softmax import IN_FLOAT

if TYPE_CHECKING:
    import torch

    from edgekit.ir import Clamp


def clamp(op: Clamp, x: torch.Tensor) -> torch.Tensor:
    """The clamp of a layer."""
    return x.clamp(op.low, op.high)


@FLOAT.implements(HardSwish)
def _hard_swish(_: HardSwish, x: torch.Tensor) -> torch.Tensor:
    return F.hardswish(x)


INTEGER.refuses(HardSwish, LOWERED)


@FLOAT.implements(Sigmoid)
def _sigmoid(_: Sigmoid, x: torch.Tensor) -> torch.Tensor:
    return x.sigmoid()


for _table in (INTEGER, LARGEST):
    _table.refuses(Sigmoid, "the executor computes it with reals, and rounds them as its table does")


@FLOAT.implements(Softmax)
def _softmax(op: Softmax, x: torch.Tensor) -> torch.Tensor:
    return x.softmax(op.axis)


INTEGER.refuses(Softmax, IN_FLOAT)


@FLOAT.implements(LeakyReLU)
def _leaky_relu(op: LeakyReLU, x: torch.Tensor) -> torch.Tensor:
    return F.leaky_relu(x, op.slope)


@FLOAT.implements(PReLU)
def _prelu(_: PReLU, x: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    return F.prelu(x, slope)


INTEGER.refuses(LeakyReLU, leaky_relu.LOWERED)
INTEGER.refuses(PReLU, leaky_relu.LOWERED)
