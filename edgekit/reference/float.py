"""The float interpreter: every operator in float64, so that rewrites of a graph can be checked to the last digits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.ir import (
    Add,
    BatchNorm,
    Clamp,
    Conv2d,
    Flatten,
    HardSigmoid,
    HardSwish,
    Linear,
    Mean,
    Mul,
    Pad,
)
from edgekit.ir.registry import OperatorTable
from edgekit.reference.convolution import convolve, pad
from edgekit.reference.interpreter import interpret

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edgekit.ir import Graph, Node

Float = Any  # NDArray[np.float64]; the table's functions take one or more of them
_TABLE: OperatorTable[Callable[..., Float]] = OperatorTable("the float reference")


class FloatReference:
    """Runs a float graph, captured or rewritten."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._constants = {name: array.astype(np.float64) for name, array in graph.constants.items()}

    def run(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        """The first output for normalized images [N, C, H, W]: [N, classes]."""
        output = self.graph.outputs[0]
        return self.run_all(x, keep=(output,))[output]

    def run_all(self, x: NDArray[np.floating], keep: tuple[str, ...] | None = None) -> dict[str, NDArray[np.float64]]:
        """Every tensor by name (or those in ``keep``) for normalized images [N, C, H, W]."""
        keep = tuple(self.graph.tensors) if keep is None else keep
        return interpret(self.graph, x.astype(np.float64), self._constants, compute, keep)


def compute(node: Node, inputs: list[NDArray[Any]]) -> NDArray[np.float64]:
    """The output of a float node, clamped, for its inputs in float64."""
    y: NDArray[np.float64] = _TABLE[node](node.op, *inputs)
    return y if node.activation is None else _clamp(node.activation, y)


@_TABLE.implements(Conv2d)
def _conv2d(op: Conv2d, x: Float, weight: Float, bias: Float) -> Float:
    return convolve(op, x, weight) + bias[:, None, None]


@_TABLE.implements(Linear)
def _linear(_: Linear, x: Float, weight: Float, bias: Float) -> Float:
    return x @ weight.T + bias


@_TABLE.implements(BatchNorm)
def _batch_norm(op: BatchNorm, x: Float, *statistics: Float) -> Float:
    gamma, beta, mean, variance = (array[:, None, None] for array in statistics)
    return gamma * (x - mean) / np.sqrt(variance + op.eps) + beta


@_TABLE.implements(Clamp)
def _clamp(op: Clamp, x: Float) -> Float:
    return np.clip(x, op.low, op.high)


@_TABLE.implements(HardSwish)
def _hard_swish(_: HardSwish, x: Float) -> Float:
    return x * np.clip(x + 3, 0, 6) / 6


@_TABLE.implements(HardSigmoid)
def _hard_sigmoid(_: HardSigmoid, x: Float) -> Float:
    return np.clip(x + 3, 0, 6) / 6


@_TABLE.implements(Add)
def _add(_: Add, a: Float, b: Float) -> Float:
    return a + b


@_TABLE.implements(Mul)
def _mul(_: Mul, a: Float, b: Float) -> Float:
    return a * b


@_TABLE.implements(Mean)
def _mean(op: Mean, x: Float) -> Float:
    return x.mean((2, 3), keepdims=op.keep_dims)


@_TABLE.implements(Pad)
def _pad(op: Pad, x: Float) -> Float:
    return pad(x, op.padding)


@_TABLE.implements(Flatten)
def _flatten(_: Flatten, x: Float) -> Float:
    return x.reshape(len(x), -1)
