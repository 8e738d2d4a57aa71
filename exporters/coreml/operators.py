"""One function an operator: how a node is written in the Model Intermediate Language.

The same functions serve float and integer models. In an integer model their inputs come out of ``dequantize`` and their
result goes into ``quantize``, which is how Core ML spells an integer operator (coremltools, int_op_canonicalization:
"dequantize -> the floating-point version of this operator -> quantize").

Each takes the operator, the program, the value to make and what is read, in the order of the operator's roles.
Sources: coremltools/converters/mil/mil/ops/defs/iOS15, and iOS17 where that has another version.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.ir import (
    Add,
    Clamp,
    Concat,
    Conv2d,
    Dequantize,
    Flatten,
    HardSwish,
    Linear,
    Mean,
    Mul,
    Pad,
    Quantize,
    Requantize,
)
from edgekit.ir.operators.clamp import UNFUSED
from edgekit.ir.registry import OperatorTable, canonical

if TYPE_CHECKING:
    from edgekit.exporters.coreml.builder import Argument, ProgramBuilder, Value
    from edgekit.ir import Node

# Operators that edgekit writes, and the first specification that has them. Source: coremltools/converters/mil/mil/ops/
# defs, a folder for each iOS.
SINCE: Final = {
    **dict.fromkeys(
        (
            "add", "cast", "classify", "clip", "concat", "conv", "linear", "mul", "pad", "reduce_mean", "relu", "relu6",
            "reshape", "sigmoid", "sigmoid_hard", "softmax", "sub",
        ),
        6,
    ),
    "constexpr_affine_dequantize": 7,
    "dequantize": 8,
    "quantize": 8,
}  # fmt: skip
OPERATORS: OperatorTable[..., Value] = OperatorTable("Core ML", canonical)
lowers = OPERATORS.implements


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


@lowers(Add)
def add(_: Add, program: ProgramBuilder, output: Value, a: Value, b: Value) -> Value:
    """Operands broadcast."""
    return program.add("add", output, x=a, y=b)


@lowers(Mul)
def mul(_: Mul, program: ProgramBuilder, output: Value, a: Value, b: Value) -> Value:
    """Operands broadcast."""
    return program.add("mul", output, x=a, y=b)


@lowers(Mean)
def mean(op: Mean, program: ProgramBuilder, output: Value, x: Value) -> Value:
    """Over the two spatial axes."""
    return program.add("reduce_mean", output, x=x, axes=(2, 3), keep_dims=op.keep_dims)


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


@lowers(HardSwish)
def hard_swish(_: HardSwish, program: ProgramBuilder, output: Value, x: Value) -> Value:
    """As x min(max(x / 6 + 1 / 2, 0), 1), which is how coremltools writes PyTorch's Hardswish."""
    gate = program.value(f"{output.name}_gate", output.shape)
    program.add("sigmoid_hard", gate, x=x, alpha=_scalar(1 / 6, program), beta=_scalar(0.5, program))
    return program.add("mul", output, x=x, y=gate)


OPERATORS.refuses(Clamp, UNFUSED)
for _border in (Quantize, Dequantize):
    OPERATORS.refuses(_border, "the writer of integer models converts at borders itself")
OPERATORS.refuses(Requantize, "its programs have no integers of 16 bits")


def float_layer(program: ProgramBuilder, node: Node, output: Value, *inputs: Argument) -> None:
    """A node with its fused clamp."""
    result = output if node.activation is None else program.value(f"{output.name}_unclamped", output.shape)
    OPERATORS[node](program, result, *inputs)
    if node.activation is not None:
        clamp(program, node.activation, output, result)


def clamp(program: ProgramBuilder, bounds: Clamp, output: Value, x: Value) -> Value:
    """The fused activation of a float layer: Core ML has operators for the two that networks are full of."""
    if bounds.low == 0 and bounds.high == math.inf:
        return program.add("relu", output, x=x)
    if (bounds.low, bounds.high) == (0, 6):
        return program.add("relu6", output, x=x)
    return program.add("clip", output, x=x, alpha=_scalar(bounds.low, program), beta=_scalar(bounds.high, program))


def _scalar(number: float, program: ProgramBuilder) -> np.generic:
    """``number`` in the program's type, infinities as its largest numbers."""
    limits = np.finfo(program.dtype)
    clipped: np.generic = np.dtype(program.dtype).type(np.clip(number, limits.min, limits.max))
    return clipped
