"""Means and other pooling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.errors import UnsupportedOperator
from edgekit.exporters.coreml.operators.table import lowers
from edgekit.ir import AveragePool2d, MaxPool2d, Mean

if TYPE_CHECKING:
    from edgekit.exporters.coreml.builder import ProgramBuilder, Value


@lowers(Mean)
def mean(op: Mean, program: ProgramBuilder, output: Value, x: Value) -> Value:
    """Over the two spatial axes."""
    return program.add("reduce_mean", output, x=x, axes=(2, 3), keep_dims=op.keep_dims)


@lowers(AveragePool2d)
def average_pool2d(op: AveragePool2d, program: ProgramBuilder, output: Value, x: Value) -> Value:
    """Zeros around it count; padding is (top, bottom, left, right)."""
    p = op.padding
    return program.add(
        "avg_pool", output, x=x, kernel_sizes=op.kernel, strides=op.stride, pad_type="custom",
        pad=(p.top, p.bottom, p.left, p.right), exclude_padding_from_average=False, ceil_mode=False,
    )  # fmt: skip


@lowers(MaxPool2d)
def max_pool2d(op: MaxPool2d, program: ProgramBuilder, output: Value, x: Value) -> Value:
    """Padding is of what is smaller than any number, (top, bottom, left, right)."""
    if op.dilation != (1, 1):
        raise UnsupportedOperator(
            f"Core ML has no max pooling of windows with gaps ({output.name!r}): pool without dilation, or export to "
            f"another format"
        )
    p = op.padding
    return program.add(
        "max_pool", output, x=x, kernel_sizes=op.kernel, strides=op.stride, pad_type="custom",
        pad=(p.top, p.bottom, p.left, p.right), ceil_mode=False,
    )  # fmt: skip
