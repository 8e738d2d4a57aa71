"""What moves values and computes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.exporters.coreml.operators.table import lowers
from edgekit.exporters.coreml.operators.versions import MOST_AXES
from edgekit.ir import (
    Concat,
    Pad,
    Rearrange,
    Slice,
)

if TYPE_CHECKING:
    from edgekit.exporters.coreml.builder import ProgramBuilder, Value


@lowers(Pad)
def pad(op: Pad, program: ProgramBuilder, output: Value, x: Value) -> Value:
    """With real zeros, which are the zero point. Widths are (before, after) for each axis."""
    p = op.padding
    widths = (0, 0, *op.channels_around, p.top, p.bottom, p.left, p.right)
    return program.add("pad", output, x=x, pad=widths, mode="constant", constant_val=np.zeros((), x.dtype))


@lowers(Rearrange)
def rearrange(op: Rearrange, program: ProgramBuilder, output: Value, x: Value) -> Value:
    """By ``reshape`` and ``transpose``, which take five axes at most."""
    batch, *shape = x.shape
    *before, last = op.steps(tuple(shape), MOST_AXES, alone=batch == 1)
    for step in (*before, last):
        result = output if step is last else program.value(f"{output.name}_moved", step.of(batch))
        if step.order:
            x = program.add("transpose", result, x=x, perm=step.permutation)
        else:
            x = program.add("reshape", result, x=x, shape=result.shape)
    return x


@lowers(Concat)
def concat(op: Concat, program: ProgramBuilder, output: Value, *xs: Value) -> Value:
    """Along one axis."""
    return program.add("concat", output, values=list(xs), axis=1 + op.axis, interleave=False)


@lowers(Slice)
def slice_(op: Slice, program: ProgramBuilder, output: Value, x: Value) -> Value:
    """From the beginning of each part to its end, in steps."""
    batch, *_ = x.shape
    begin, end = (0, *(part.start for part in op.parts)), (batch, *(part.stop for part in op.parts))
    return program.add("slice_by_index", output, x=x, begin=begin, end=end, stride=(1, *(p.step for p in op.parts)))
