"""Activations that stand by themselves."""

from __future__ import annotations

import numpy as np

from edgekit.ir import (
    Clamp,
    HardSigmoid,
    HardSwish,
)
from edgekit.ir.operators.clamp import UNFUSED
from edgekit.ir.operators.hard_swish import LOWERED
from edgekit.reference.operators.table import FLOAT, INTEGER, Float


@FLOAT.implements(Clamp)
def clamp(op: Clamp, x: Float) -> Float:
    """The clamp of a layer, or one by itself."""
    return np.clip(x, op.low, op.high)


INTEGER.refuses(Clamp, UNFUSED)


@FLOAT.implements(HardSwish)
def _hard_swish(_: HardSwish, x: Float) -> Float:
    return x * np.clip(x + 3, 0, 6) / 6


INTEGER.refuses(HardSwish, LOWERED)


@FLOAT.implements(HardSigmoid)
def _hard_sigmoid(_: HardSigmoid, x: Float) -> Float:
    return np.clip(x + 3, 0, 6) / 6
