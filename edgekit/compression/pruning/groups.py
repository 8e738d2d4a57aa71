"""Which channels of which layers can only go together.

A channel of a convolution's or linear layer's output is made by a row of its weights and read by a column of those
behind. Whatever stands between passes channels on (``Op.channels``): a sum is of channels at the same place, a gate
belongs to the channels that it gates, a depthwise convolution filters each by itself, and a concatenation moves them.
So channels fall into bundles, each of which goes as a whole or stays; bundles that lie in the same tensors are a group,
any of which may go. What belongs to the image or to an output stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgekit.calibration.families import linked
from edgekit.ir.operators.operator import Gains

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from edgekit.ir import Graph, Node


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Group:
    """Channels of which any may go, K of them.

    Attributes:
        name: the first layer that makes them.
        made: by modules that hold a number or a row of weights for each channel: their places there, [K].
        read: by modules whose weights have a column for each channel: their places there, [K].
    """

    name: str
    made: Mapping[str, NDArray[np.intp]]
    read: Mapping[str, NDArray[np.intp]]

    @property
    def channels(self) -> int:
        """How many there are."""
        return len(self.made[self.name])


def groups_of(graph: Graph) -> tuple[Group, ...]:
    """The groups of a network, in the order of its layers.

    Args:
        graph: as ``capture`` gives it, so that names of nodes are names of modules.
    """
    tensors, starts = list(graph.tensors), {}
    total = 0
    for name, tensor in graph.tensors.items():
        starts[name] = total
        total += tensor.shape[0]
    links = [
        np.add(pairs, (starts[read], starts[node.output])) for node in graph for read, pairs in _passed_on(graph, node)
    ]
    bundle = linked(total, links)
    owner = np.repeat(np.arange(len(tensors)), [graph.tensors[name].shape[0] for name in tensors])
    fixed = {int(one) for name in _fixed(graph) for one in bundle[_span(graph, starts, name)]}
    where: dict[int, list[int]] = {}
    for place, one in enumerate(bundle.tolist()):
        where.setdefault(one, []).append(place)
    alike: dict[tuple[int, ...], list[int]] = {}
    for one, places in where.items():
        lies_in = tuple(owner[places].tolist())
        if one not in fixed and len(set(lies_in)) == len(lies_in):
            alike.setdefault(lies_in, []).append(one)
    found = [_group(graph, starts, [where[one] for one in several]) for several in alike.values()]
    return tuple(group for group in found if group is not None)


def _group(graph: Graph, starts: Mapping[str, int], bundles: list[list[int]]) -> Group | None:
    """A group of bundles, each of which is given by its places; None where no layer makes it."""
    places = np.array(bundles)  # [K, tensors]
    columns = {name: places[:, at] - start for at, (name, start) in enumerate(_of(graph, starts, bundles[0]))}
    made: dict[str, NDArray[np.intp]] = {}
    read: dict[str, NDArray[np.intp]] = {}
    for node in graph:
        if node.output in columns and (node.op.has_weights or node.op.normalizes):
            made[node.name] = columns[node.output]
        if node.op.has_weights and not _is_depthwise(graph, node) and (x := graph.activations(node)[0]) in columns:
            read[node.name] = columns[x]
    return Group(next(iter(made)), made, read) if made else None


def _of(graph: Graph, starts: Mapping[str, int], places: list[int]) -> Iterator[tuple[str, int]]:
    """The tensors that places lie in, in the same order, with where their channels begin."""
    for place in places:
        yield next(
            (name, start) for name, start in starts.items() if start <= place < start + graph.tensors[name].shape[0]
        )


def _passed_on(graph: Graph, node: Node) -> Iterator[tuple[str, NDArray[np.intp]]]:
    """What a node reads whose channels its result has, with the pairs of channels that are the same."""
    shapes = graph.shapes_read(node)
    if node.op.has_weights:
        if _is_depthwise(graph, node):
            yield graph.activations(node)[0], np.repeat(np.arange(shapes[0][0])[:, None], 2, axis=1)
    elif _is_each_by_itself(node, graph):
        yield from zip(graph.activations(node), node.op.channels(*shapes), strict=True)


def _fixed(graph: Graph) -> Iterator[str]:
    """The tensors whose channels stay."""
    yield from (graph.input, *graph.output_tensors)
    for node in graph:
        has_own = any(graph.constants[name].size > 1 for name in node.inputs if name in graph.constants)
        if node.op.has_weights:
            is_known = node.op.groups_of_weights == 1 or _is_depthwise(graph, node)
        else:
            is_known = _is_each_by_itself(node, graph) and (node.op.normalizes or not has_own)
        if not is_known:
            yield from (*graph.activations(node), node.output)


def _is_each_by_itself(node: Node, graph: Graph) -> bool:
    return node.op.gains(*graph.shapes_read(node)) is not Gains.NONE or node.op.keeps_channels


def _is_depthwise(graph: Graph, node: Node) -> bool:
    """Whether each channel is made of the one at its place."""
    groups = node.op.groups_of_weights
    made, _, *_ = graph.constants[node.operand("weight")].shape
    return groups > 1 and groups == made == graph.shapes_read(node)[0][0]


def _span(graph: Graph, starts: Mapping[str, int], tensor: str) -> slice:
    return slice(starts[tensor], starts[tensor] + graph.tensors[tensor].shape[0])
