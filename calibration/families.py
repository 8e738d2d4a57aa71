"""Which channels of which tensors have to carry the same gain, and how far those may go.

A gain is a positive factor of one channel. Layers separate the gains of what they read from those of what they make, as
their weights can take both. A channel of a sum, a mean, or a product with a gate has the gains of the channels that it
is made of, and concatenation and its like move channels elsewhere (``Op.channels``). So channels fall into groups, and
tensors whose channels share groups into families. A group can carry no gain if a channel of the image, of a logit, or
of a gate belongs to it, or a clamp that no factor passes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from edgekit.executor.float import FloatExecutor
from edgekit.ir.operators.operator import Gains

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from edgekit.ir import Graph, Node

GATE_OPENS = 3.0  # below -3 hard-swish is 0 whatever its input is (arXiv:1905.02244, section 5.2)
BATCH_SIZE = 8


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Family:
    """Tensors whose gains hang together, with K groups of channels.

    Attributes:
        groups: of each tensor, in the order of the graph, the group of each channel: [C], from 0 on in the order in
            which they appear.
        free: which groups can carry a gain, [K].
    """

    groups: Mapping[str, NDArray[np.intp]]
    free: NDArray[np.bool_]

    @property
    def name(self) -> str:
        """The first of its tensors, after which gains are called."""
        return next(iter(self.groups))

    def frees(self, tensor: str) -> bool:
        """Whether a channel of this tensor of the family can carry a gain."""
        return bool(self.free[self.groups[tensor]].any())

    def farthest(self, reach: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """How far each group reaches in some tensors of the family, [K]; 0 in those without it.

        Args:
            reach: how far the channels of these tensors do, [C].
        """
        found = np.zeros(len(self.free))
        for name, values in reach.items():
            np.maximum.at(found, self.groups[name], values)
        return found

    def without(self, tensors: Iterable[str]) -> Family:
        """The same family with no gains for what belongs to channels of these tensors of it."""
        free = self.free.copy()
        for name in tensors:
            free[self.groups[name]] = False
        return replace(self, free=free)


def families(graph: Graph) -> list[Family]:
    """The families that can carry gains, in the order of the graph."""
    numbers, total = {}, 0  # of the channels of all tensors
    for name, tensor in graph.tensors.items():
        numbers[name] = np.arange(total, total + tensor.shape[0])
        total += tensor.shape[0]
    places = {name: place for place, name in enumerate(graph.tensors)}
    bound = {graph.input, *graph.output_tensors}
    channels, tensors = [], []
    for node in graph:
        for name, pairs in _carried(graph, node):
            channels.append(np.add(pairs, (numbers[name][0], numbers[node.output][0])))
            tensors.append(np.array([[places[name], places[node.output]]]))
        bound.update(_bound(graph, node))
    group, family = linked(total, channels), linked(len(places), tensors)
    fixed = np.isin(group, group[np.concatenate([numbers[name] for name in bound])])
    found = []
    for first in np.unique(family):
        members = [name for name, place in places.items() if family[place] == first]
        of_all = np.concatenate([numbers[name] for name in members])
        _, where, which = np.unique(group[of_all], return_index=True, return_inverse=True)
        ends = np.cumsum([len(numbers[name]) for name in members])[:-1]
        free = ~fixed[of_all[where]]
        if free.any():
            found.append(Family(dict(zip(members, np.split(which, ends), strict=True)), free))
    return found


def ceiling(graph: Graph, name: str) -> float:
    """Where the clamp that makes this tensor cuts it off; inf if it does not, or at 0, which no factor moves."""
    node = graph.producer(name)
    high = math.inf if node is None or node.activation is None else node.activation.high
    return high or math.inf


def enters_swish(graph: Graph, name: str) -> bool:
    """Whether this tensor is cut off at -3, because a hard-swish and nothing else reads it."""
    node = graph.producer(name)
    return node is not None and node.activation is not None and node.activation.low == -GATE_OPENS


def _carried(graph: Graph, node: Node) -> Iterator[tuple[str, NDArray[np.intp]]]:
    """The operands whose gains the result has, with the pairs of channels that are the same (``Op.channels``)."""
    shapes = graph.shapes_read(node)
    gains = node.op.gains(*shapes)
    if gains in {Gains.EQUAL, Gains.FIRST}:
        pairs = zip(graph.activations(node), node.op.channels(*shapes), strict=True)
        yield from list(pairs)[: None if gains is Gains.EQUAL else 1]


def _bound(graph: Graph, node: Node) -> Iterator[str]:
    """The tensors that can have no gains because of this node."""
    operands = graph.activations(node)
    match node.op.gains(*graph.shapes_read(node)):
        case Gains.NONE:
            yield from (*operands, node.output)
        case Gains.FIRST:
            yield from operands[1:]
        case Gains.SEPARATE | Gains.EQUAL:
            pass
    if not _passes_gains(node):
        yield node.output


def _passes_gains(node: Node) -> bool:
    """Whether the node's clamp lets factors through: none, ReLU, what enters a hard-swish, or, with bounds, ReLU6."""
    clamp = node.activation
    if clamp is None or clamp.low in {0.0, -math.inf}:
        return True
    return clamp.low == -GATE_OPENS and clamp.high == math.inf


def linked(count: int, links: Sequence[NDArray[np.intp]]) -> NDArray[np.intp]:
    """The smallest number that each of 0..count-1 is linked with, at once or through others; links are pairs [P, 2]."""
    found = np.arange(count)
    while True:
        before = found.copy()
        for pairs in links:
            np.minimum.at(found, pairs, found[pairs].min(axis=1, keepdims=True))
        if (found == before).all():
            return found


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
