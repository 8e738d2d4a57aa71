"""Activations that stand by themselves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from edgekit.exporters.coreml.operators.table import OPERATORS, lowers
from edgekit.ir import VECTOR, HardSwish, LeakyReLU, PReLU, Sigmoid, Softmax

if TYPE_CHECKING:
    from edgekit.exporters.coreml.builder import Argument, ProgramBuilder, Value
    from edgekit.ir import Clamp, Node


@lowers(HardSwish)
def hard_swish(_: HardSwish, program: ProgramBuilder, output: Value, x: Value) -> Value:
    """As x min(max(x / 6 + 1 / 2, 0), 1), which is how coremltools writes PyTorch's Hardswish."""
    gate = program.value(f"{output.name}_gate", output.shape)
    program.add("sigmoid_hard", gate, x=x, alpha=_scalar(1 / 6, program), beta=_scalar(0.5, program))
    return program.add("mul", output, x=x, y=gate)


@lowers(Softmax)
def softmax(op: Softmax, program: ProgramBuilder, output: Value, x: Value) -> Value:
    """Along one axis."""
    return program.add("softmax", output, x=x, axis=op.axis)


@lowers(Sigmoid)
def sigmoid(_: Sigmoid, program: ProgramBuilder, output: Value, x: Value) -> Value:
    """As it is."""
    return program.add("sigmoid", output, x=x)


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


@lowers(LeakyReLU)
def leaky_relu(op: LeakyReLU, program: ProgramBuilder, output: Value, x: Value) -> Value:
    """As it is."""
    return program.add("leaky_relu", output, x=x, alpha=_scalar(op.slope, program))


@lowers(PReLU)
def prelu(_: PReLU, program: ProgramBuilder, output: Value, x: Value, slope: Value) -> Value:
    """As it is, of images; of vectors, which Core ML's PReLU does not take, as max(x, 0) + slope min(x, 0)."""
    if len(x.shape) > len(VECTOR):
        return program.add("prelu", output, x=x, alpha=slope)
    names = ("positive", "negative", "scaled")
    positive, negative, scaled = (program.value(f"{output.name}_{name}", output.shape) for name in names)
    program.add("relu", positive, x=x)
    program.add("clip", negative, x=x, alpha=_scalar(-math.inf, program), beta=_scalar(0.0, program))
    program.add("mul", scaled, x=negative, y=slope)
    return program.add("add", output, x=positive, y=scaled)
