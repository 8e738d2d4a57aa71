"""What moves values and computes nothing."""

from __future__ import annotations

import torch
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from edgekit.executor.operators.table import FLOAT, INTEGER
from edgekit.ir import (
    Concat,
    Pad,
    Rearrange,
    Slice,
)


@INTEGER.implements(Pad)
@FLOAT.implements(Pad)
def _pad(op: Pad, x: torch.Tensor) -> torch.Tensor:
    p = op.padding
    return F.pad(x, (p.left, p.right, p.top, p.bottom, *op.channels_around))


@INTEGER.implements(Rearrange)
@FLOAT.implements(Rearrange)
def _rearrange(op: Rearrange, x: torch.Tensor) -> torch.Tensor:
    order = (0, *(1 + axis for axis in op.order))
    return x.reshape(len(x), *op.split).permute(order).reshape(len(x), *op.shape)


@INTEGER.implements(Concat)
@FLOAT.implements(Concat)
def _concat(op: Concat, *xs: torch.Tensor) -> torch.Tensor:
    return torch.cat(xs, 1 + op.axis)


@INTEGER.implements(Slice)
@FLOAT.implements(Slice)
def _slice(op: Slice, x: torch.Tensor) -> torch.Tensor:
    return x[op.indices]
