"""Feature maps of another size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.exporters.coreml.operators.table import lowers
from edgekit.ir import Resize
from edgekit.ir.operators.resize import ALIGNED, ASYMMETRIC, HALF_PIXEL

if TYPE_CHECKING:
    from edgekit.exporters.coreml.builder import ProgramBuilder, Value

# How coremltools calls the positions (ops/defs/iOS15/image_resizing.py, resize_bilinear).
_SAMPLING: Final = {HALF_PIXEL: "UNALIGN_CORNERS", ALIGNED: "STRICT_ALIGN_CORNERS", ASYMMETRIC: "DEFAULT"}


@lowers(Resize)
def resize(op: Resize, program: ProgramBuilder, output: Value, x: Value) -> Value:
    """By whole factors, or to a size."""
    if not op.rounds_up:
        rows, columns = op.factors_of(x.shape[1:])
        return program.add(
            "upsample_nearest_neighbor", output, x=x, scale_factor_height=rows, scale_factor_width=columns
        )
    height, width = op.size
    return program.add(
        "resize_bilinear",
        output,
        x=x,
        target_size_height=height,
        target_size_width=width,
        sampling_mode=_SAMPLING[op.mode],
    )


def rounded_up(program: ProgramBuilder, output: Value, x: Value) -> Value:
    """The nearest integers, halves upwards."""
    more = program.value(f"{output.name}_more", x.shape)
    program.add("add", more, x=x, y=np.dtype(program.dtype).type(0.5))
    return program.add("floor", output, x=more)
