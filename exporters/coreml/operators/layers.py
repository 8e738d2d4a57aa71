"""Layers with weights, and batch normalization."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.exporters.coreml.operators.table import lowers
from edgekit.ir import (
    Conv2d,
    Linear,
)

if TYPE_CHECKING:
    from edgekit.exporters.coreml.builder import Argument, ProgramBuilder, Value


@lowers(Conv2d)
def conv2d(op: Conv2d, program: ProgramBuilder, output: Value, *inputs: Argument) -> Value:
    """Weights are [O, I / groups, kH, kW] as in PyTorch; padding is (top, bottom, left, right)."""
    x, weight, bias = inputs
    p = op.padding
    return program.add(
        "conv", output, x=x, weight=weight, bias=bias, strides=op.stride, pad_type="custom",
        pad=(p.top, p.bottom, p.left, p.right), dilations=op.dilation, groups=op.groups,
    )  # fmt: skip


@lowers(Linear)
def linear(_: Linear, program: ProgramBuilder, output: Value, x: Value, weight: Value, bias: Argument) -> Value:
    """Weights are [O, I] as in PyTorch."""
    return program.add("linear", output, x=x, weight=weight, bias=bias)
