"""Feature maps of another size, and the largest channel of each place."""

from __future__ import annotations

import torch
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from edgekit.executor.operators.table import FLOAT, INTEGER
from edgekit.ir import ArgMax, Resize
from edgekit.ir.operators.resize import ALIGNED, ASYMMETRIC


@INTEGER.implements(Resize)
@FLOAT.implements(Resize)
def _resize(op: Resize, x: torch.Tensor) -> torch.Tensor:
    if not op.rounds_up:
        return F.interpolate(x, op.size)
    if op.mode != ASYMMETRIC:
        return F.interpolate(x, op.size, mode="bilinear", align_corners=op.mode == ALIGNED)
    # With the last row and column again, aligned corners are steps of H / H' from the first.
    height, width = op.size
    larger = F.pad(x, (0, 1, 0, 1), mode="replicate")
    return F.interpolate(larger, (height + 1, width + 1), mode="bilinear", align_corners=True)[..., :height, :width]


@INTEGER.implements(ArgMax)
@FLOAT.implements(ArgMax)
def _arg_max(op: ArgMax, x: torch.Tensor) -> torch.Tensor:
    y = x if op.resize is None else _resize(op.resize, x)
    return y.argmax(1).to(torch.int32)  # of equal ones the first
