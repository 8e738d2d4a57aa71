"""Feature maps of another size, and the largest channel of each place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.exporters.coreml.operators.table import lowers
from edgekit.ir import ArgMax, Resize
from edgekit.ir.operators.arg_max import least_difference
from edgekit.ir.operators.resize import ALIGNED, ASYMMETRIC, HALF_PIXEL

if TYPE_CHECKING:
    from collections.abc import Sequence

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


@lowers(ArgMax)
def arg_max(op: ArgMax, program: ProgramBuilder, output: Value, x: Value) -> Value:
    """[N, H, W]; which of equal ones it names, Core ML does not say."""
    if op.resize is not None:
        x = resize(op.resize, program, program.value(f"{output.name}_enlarged", (*x.shape[:2], *op.resize.size)), x)
    return program.add("reduce_argmax", output, x=x, axis=1, keep_dims=False)


def told_apart(program: ProgramBuilder, name: str, x: Value, size: Sequence[int]) -> Value:
    """Whole numbers of which no two channels are equal, so that of equal ones the first is the largest.

    Later channels are made smaller by less than any difference, behind an interpolation to ``size`` too. float32 holds
    that exactly: 8 bits of an integer, and behind the point those of both weights and of the channel.
    """
    channels = x.shape[1]
    step = least_difference(x.shape[2:], size) / 2 ** (channels - 1).bit_length()
    less = (step * np.arange(channels)).reshape(1, -1, 1, 1).astype(program.dtype)
    return program.add("sub", program.value(f"{name}_told_apart", x.shape), x=x, y=less)
