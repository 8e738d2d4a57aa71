"""Between what numbers the channels of a network lie for any image, by interval arithmetic.

Each layer's bounds follow from those of what it reads, as if its operands knew nothing of each other. So they are wide,
but never wrong, and a channel whose bounds meet is constant. What is not known here has no bounds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.ir import (
    Add,
    AveragePool2d,
    BatchNorm,
    Clamp,
    Concat,
    HardSigmoid,
    HardSwish,
    MaxPool2d,
    Mean,
    Mul,
    Pad,
    Rearrange,
    Resize,
    Sigmoid,
    Slice,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edgekit.ir import Graph, Node

    Bounds = tuple[NDArray[np.float64], NDArray[np.float64]]  # [C], [C]

_MOVING: Final = (Concat, Mean, Rearrange, Resize, Slice)
_POOLS: Final = (AveragePool2d, MaxPool2d, Pad)  # zeros may be among what they read
# Of x clip(x + 3, 0, 6) / 6: it falls before, and rises behind.
_LOWEST_AT, _LOWEST = -1.5, -0.375


def bounds_of(graph: Graph, image: Bounds) -> Mapping[str, Bounds]:
    """The bounds of each tensor's channels.

    Args:
        graph: as ``capture`` gives it.
        image: those of its input.
    """
    found = {graph.input: image}
    for node in graph:
        low, high = _of(graph, node, [found[name] for name in graph.activations(node)])
        if node.activation is not None:
            low, high = _clamped(low, node.activation), _clamped(high, node.activation)
        found[node.output] = low, high
    return found


def _of(graph: Graph, node: Node, read: list[Bounds]) -> Bounds:  # noqa: PLR0911 - one an operator
    channels = graph.tensors[node.output].shape[0]
    low, high = read[0]
    match node.op:
        case op if op.has_weights:
            return _layer(graph, node, read[0])
        case BatchNorm():
            weight, bias, mean, variance = (
                graph.constants[node.operand(role)].astype(np.float64) for role in ("gamma", "beta", "mean", "variance")
            )
            scale = weight / np.sqrt(variance + node.op.eps)
            ends = (low - mean) * scale + bias, (high - mean) * scale + bias
            return np.minimum(*ends), np.maximum(*ends)
        case Clamp():
            return _clamped(low, node.op), _clamped(high, node.op)
        case HardSwish():
            ends = _hard_swish(low), _hard_swish(high)
            least = np.where((low < _LOWEST_AT) & (high > _LOWEST_AT), _LOWEST, np.minimum(*ends))
            return least, np.maximum(*ends)
        case HardSigmoid():
            return np.clip(low / 6 + 0.5, 0, 1), np.clip(high / 6 + 0.5, 0, 1)
        case Sigmoid():
            return np.zeros(channels), np.ones(channels)
        case Add() if len(read) == 2:
            return low + read[1][0], high + read[1][1]
        case Mul() if len(read) == 2:
            products = np.stack([_product(a, b) for a in (low, high) for b in read[1]])
            return products.min(0), products.max(0)
        case op if isinstance(op, (*_MOVING, *_POOLS)):
            return _moved(graph, node, read)
    return np.full(channels, -np.inf), np.full(channels, np.inf)


def _layer(graph: Graph, node: Node, read: Bounds) -> Bounds:
    weight, bias = (graph.constants[node.operand(role)].astype(np.float64) for role in ("weight", "bias"))
    low, high = read
    if pads(node):
        low, high = np.minimum(low, 0), np.maximum(high, 0)
    columns = node.op.channels_read(weight.shape)
    taps = weight.reshape(*weight.shape[:2], -1)
    rising, falling = np.maximum(taps, 0).sum(2), np.minimum(taps, 0).sum(2)
    least = _product(rising, low[columns]) + _product(falling, high[columns])
    most = _product(rising, high[columns]) + _product(falling, low[columns])
    return least.sum(1) + bias, most.sum(1) + bias


def pads(node: Node) -> bool:
    """Whether a layer's kernel goes over zeros around what it reads."""
    window = node.op.window
    if window is None:
        return False
    padding = window.padding
    return any((padding.top, padding.bottom, padding.left, padding.right))


def _moved(graph: Graph, node: Node, read: list[Bounds]) -> Bounds:
    """A channel lies between the bounds of those that it is made of."""
    channels = graph.tensors[node.output].shape[0]
    low, high = np.full(channels, np.inf), np.full(channels, -np.inf)
    for (least, most), pairs in zip(read, node.op.channels(*graph.shapes_read(node)), strict=True):
        np.minimum.at(low, pairs[:, 1], least[pairs[:, 0]])
        np.maximum.at(high, pairs[:, 1], most[pairs[:, 0]])
    if isinstance(node.op, _POOLS):
        low, high = np.minimum(low, 0), np.maximum(high, 0)
    return low, high


def _product(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 where one factor is, even if the other has no bounds."""
    with np.errstate(invalid="ignore"):
        return np.where((a == 0) | (b == 0), 0.0, a * b)


def _clamped(values: NDArray[np.float64], clamp: Clamp) -> NDArray[np.float64]:
    return np.clip(values, clamp.low, clamp.high)


def _hard_swish(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return _product(x, np.clip(x / 6 + 0.5, 0, 1))
