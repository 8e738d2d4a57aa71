"""What moves values and computes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.exporters.coreml.operators.table import lowers
from edgekit.ir import (
    Concat,
    Flatten,
    Pad,
)

if TYPE_CHECKING:
    from edgekit.exporters.coreml.builder import ProgramBuilder, Value


@lowers(Pad)
def pad(op: Pad, program: ProgramBuilder, output: Value, x: Value) -> Value:
    """With real zeros, which are the zero point. Widths are (before, after) for each axis."""
    p = op.padding
    widths = (0, 0, 0, 0, p.top, p.bottom, p.left, p.right)
    return program.add("pad", output, x=x, pad=widths, mode="constant", constant_val=np.zeros((), x.dtype))


@lowers(Flatten)
def flatten(_: Flatten, program: ProgramBuilder, output: Value, x: Value) -> Value:
    """To [1, C]."""
    return program.add("reshape", output, x=x, shape=output.shape)


@lowers(Concat)
def concat(_: Concat, program: ProgramBuilder, output: Value, *xs: Value) -> Value:
    """Along the channels."""
    return program.add("concat", output, values=list(xs), axis=1, interleave=False)
