"""Between what numbers the channels of a network lie for any image, by interval arithmetic.

Each layer's bounds follow from those of what it reads, as if its operands knew nothing of each other. So they are wide,
but never wrong, and a channel whose bounds meet is constant. What is not known here has no bounds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgekit.ir import (
    Add,
    AveragePool2d,
    BatchNorm,
    Clamp,
    Concat,
    Conv2d,
    Graph,
    HardSigmoid,
    HardSwish,
    Linear,
    MaxPool2d,
    Mean,
    Mul,
    Node,
    Pad,
    Rearrange,
    Resize,
    Sigmoid,
    Slice,
)
from edgekit.ir.registry import OperatorTable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.ir import Op

Bounds: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64]]  # [C], [C]

_KNOWN: Final = (
    *(Add, AveragePool2d, BatchNorm, Clamp, Concat, Conv2d, HardSigmoid, HardSwish, Linear, MaxPool2d, Mean, Mul, Pad),
    *(Rearrange, Resize, Sigmoid, Slice),
)
# Of x clip(x + 3, 0, 6) / 6: it falls before, and rises behind.
_LOWEST_AT, _LOWEST = -1.5, -0.375


def _unbounded(op: type[Op]) -> str:
    """Why an operator has no bounds here."""
    return "" if op in _KNOWN else "nothing is known of what it makes of bounds"


BOUNDS: OperatorTable[[Graph, Node, list[Bounds]], Bounds] = OperatorTable("the bounds of channels", _unbounded)


def bounds_of(graph: Graph, image: Bounds) -> Mapping[str, Bounds]:
    """The bounds of each tensor's channels.

    Args:
        graph: as ``capture`` gives it.
        image: those of its input.
    """
    found = {graph.input: image}
    for node in graph:
        if type(node.op) in BOUNDS:
            low, high = BOUNDS[node](graph, node, [found[name] for name in graph.activations(node)])
        else:
            low, high = _none(graph, node)
        if node.activation is not None:
            low, high = _clamped(low, node.activation), _clamped(high, node.activation)
        found[node.output] = low, high
    return found


def _none(graph: Graph, node: Node) -> Bounds:
    channels = graph.tensors[node.output].shape[0]
    return np.full(channels, -np.inf), np.full(channels, np.inf)


@BOUNDS.implements(BatchNorm)
def _batch_norm(op: BatchNorm, graph: Graph, node: Node, read: list[Bounds]) -> Bounds:
    low, high = read[0]
    weight, bias, mean, variance = (
        graph.constants[node.operand(role)].astype(np.float64) for role in ("gamma", "beta", "mean", "variance")
    )
    scale = weight / np.sqrt(variance + op.eps)
    ends = (low - mean) * scale + bias, (high - mean) * scale + bias
    return np.minimum(*ends), np.maximum(*ends)


@BOUNDS.implements(Clamp)
def _clamp(op: Clamp, _graph: Graph, _node: Node, read: list[Bounds]) -> Bounds:
    low, high = read[0]
    return _clamped(low, op), _clamped(high, op)


@BOUNDS.implements(HardSwish)
def _hard_swish(_op: HardSwish, _graph: Graph, _node: Node, read: list[Bounds]) -> Bounds:
    low, high = read[0]
    ends = _swished(low), _swished(high)
    least = np.where((low < _LOWEST_AT) & (high > _LOWEST_AT), _LOWEST, np.minimum(*ends))
    return least, np.maximum(*ends)


@BOUNDS.implements(HardSigmoid)
def _hard_sigmoid(_op: HardSigmoid, _graph: Graph, _node: Node, read: list[Bounds]) -> Bounds:
    low, high = read[0]
    return np.clip(low / 6 + 0.5, 0, 1), np.clip(high / 6 + 0.5, 0, 1)


@BOUNDS.implements(Sigmoid)
def _sigmoid(_op: Sigmoid, _graph: Graph, _node: Node, read: list[Bounds]) -> Bounds:
    return np.zeros_like(read[0][0]), np.ones_like(read[0][1])


@BOUNDS.implements(Add)
def _add(_op: Add, graph: Graph, node: Node, read: list[Bounds]) -> Bounds:
    if len(read) < 2:
        return _none(graph, node)
    (low, high), (least, most) = read
    return low + least, high + most


@BOUNDS.implements(Mul)
def _mul(_op: Mul, graph: Graph, node: Node, read: list[Bounds]) -> Bounds:
    if len(read) < 2:
        return _none(graph, node)
    products = np.stack([_product(a, b) for a in read[0] for b in read[1]])
    return products.min(0), products.max(0)


@BOUNDS.implements(Concat, Mean, Rearrange, Resize, Slice)
def _move(op: Op, graph: Graph, node: Node, read: list[Bounds]) -> Bounds:
    """A channel lies between the bounds of those that it is made of."""
    channels = graph.tensors[node.output].shape[0]
    low, high = np.full(channels, np.inf), np.full(channels, -np.inf)
    for (least, most), pairs in zip(read, op.channels(*graph.shapes_read(node)), strict=True):
        np.minimum.at(low, pairs[:, 1], least[pairs[:, 0]])
        np.maximum.at(high, pairs[:, 1], most[pairs[:, 0]])
    return low, high


@BOUNDS.implements(AveragePool2d, MaxPool2d, Pad)
def _pool(op: Op, graph: Graph, node: Node, read: list[Bounds]) -> Bounds:
    """Likewise; zeros may be among what it reads."""
    low, high = _move(op, graph, node, read)
    return np.minimum(low, 0), np.maximum(high, 0)


@BOUNDS.implements(Conv2d, Linear)
def _layer(_op: Op, graph: Graph, node: Node, read: list[Bounds]) -> Bounds:
    weight, bias = (graph.constants[node.operand(role)].astype(np.float64) for role in ("weight", "bias"))
    low, high = read[0]
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


def _product(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 where one factor is, even if the other has no bounds."""
    with np.errstate(invalid="ignore"):
        return np.where((a == 0) | (b == 0), 0.0, a * b)


def _clamped(values: NDArray[np.float64], clamp: Clamp) -> NDArray[np.float64]:
    return np.clip(values, clamp.low, clamp.high)


def _swished(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return _product(x, np.clip(x / 6 + 0.5, 0, 1))
