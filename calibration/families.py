"""Which tensors have to carry the same gains, channel by channel, and how far those may go.

A gain is a positive factor of one channel. Layers separate the gains of what they read from those of what they make, as
their weights can take both. A sum, a mean, or a product with a gate has the gains of its operands. So tensors fall into
families; a family can carry none if the image, a logit, or a gate belongs to it, or a clamp that no factor passes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from edgekit.executor.float import FloatExecutor
from edgekit.ir.operators.operator import Gains

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edgekit.ir import Graph, Node

GATE_OPENS = 3.0  # below -3 hard-swish is 0 whatever its input is (arXiv:1905.02244, section 5.2)
BATCH_SIZE = 8


def families(graph: Graph) -> list[tuple[str, ...]]:
    """Tensors that have to carry the same gains, in the order of the graph; those that can carry none are left out."""
    joined = {name: name for name in graph.tensors}
    fixed = {graph.input, *graph.output_tensors}

    def root(name: str) -> str:
        while joined[name] != name:
            name = joined[name]
        return name

    for node in graph:
        carried, others = _roles(graph, node)
        for name in carried:
            joined[root(name)] = root(node.output)
        fixed.update(others)
        if not _passes_gains(node):
            fixed.add(node.output)
    bound = {root(name) for name in fixed}
    found: dict[str, list[str]] = {}
    for name in graph.tensors:
        if root(name) not in bound:
            found.setdefault(root(name), []).append(name)
    return [tuple(family) for family in found.values()]


def ceiling(graph: Graph, name: str) -> float:
    """Where the clamp that makes this tensor cuts it off; inf if it does not."""
    node = graph.producer(name)
    return math.inf if node is None or node.activation is None else node.activation.high


def enters_swish(graph: Graph, name: str) -> bool:
    """Whether this tensor is cut off at -3, because a hard-swish and nothing else reads it."""
    node = graph.producer(name)
    return node is not None and node.activation is not None and node.activation.low == -GATE_OPENS


def _roles(graph: Graph, node: Node) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The operands whose gains the result has, and those that can have none."""
    operands = graph.activations(node)
    match node.op.gains(*graph.shapes_read(node)):
        case Gains.SEPARATE:
            return (), ()
        case Gains.EQUAL:
            return operands, ()
        case Gains.FIRST:
            return operands[:1], operands[1:]
        case Gains.NONE:
            return (), (*operands, node.output)


def _passes_gains(node: Node) -> bool:
    """Whether the node's clamp lets factors through: none, ReLU, what enters a hard-swish, or, with bounds, ReLU6."""
    clamp = node.activation
    if clamp is None or clamp.low in {0.0, -math.inf}:
        return True
    return clamp.low == -GATE_OPENS and clamp.high == math.inf


@dataclass(frozen=True, slots=True)
class Channels:
    """What images show of the channels of a tensor.

    Attributes:
        low: the smallest value, at most 0, [C]; of several images the second smallest, as one may be odd.
        high: the largest value, at least 0, [C]; likewise.
        power: the mean square, [C].
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    power: NDArray[np.float64]

    @property
    def reach(self) -> NDArray[np.float64]:
        """The largest magnitude, [C]."""
        return np.maximum(self.high, -self.low)


def observe_channels(graph: Graph, images: NDArray[np.float32]) -> Mapping[str, Channels]:
    """Every tensor's channels, by name, over normalized images [N, C, H, W]."""
    low: dict[str, list[NDArray[np.float64]]] = {name: [] for name in graph.tensors}
    high: dict[str, list[NDArray[np.float64]]] = {name: [] for name in graph.tensors}
    power: dict[str, list[NDArray[np.float64]]] = {name: [] for name in graph.tensors}

    def observe(name: str, value: torch.Tensor) -> None:
        flat = value.flatten(2) if value.ndim > 2 else value[:, :, None]
        low[name] += list(flat.amin(2).double().numpy())
        high[name] += list(flat.amax(2).double().numpy())
        power[name] += list(flat.square().mean(2).double().numpy())

    executor = FloatExecutor(graph)
    with torch.inference_mode():
        for start in range(0, len(images), BATCH_SIZE):
            executor(torch.from_numpy(images[start : start + BATCH_SIZE]), observe)
    second = min(1, len(images) - 1)
    return {
        name: Channels(
            np.minimum(np.sort(low[name], axis=0)[second], 0.0),
            np.maximum(np.sort(high[name], axis=0)[-1 - second], 0.0),
            np.mean(power[name], axis=0),
        )
        for name in graph.tensors
    }
