"""Tensors that have to have one scale and zero point, because an operator moves their integers and computes nothing.

Groups follow from what operators declare (``Scales.SHARED``), and are found before any scale is. A group has the range
of everything that flows into it: its sources, which other operators make. Two kinds of sources cannot join:

- one whose clamp the common range does not imply. In integers a clamp is nothing but the end of the range, so a ReLU
  beside a tensor with negative values would let those through;
- one with a fixed grid, as that of pixels is, unless it is alone.

They are *rescaled* first: multiplied by a constant 1, which has a scale of its own, so that int8 becomes int8 of
another scale by a MUL. An int8 -> int8 QUANTIZE says the same in one operator, but XNNPACK computes it with a ratio of
8 fractional bits (``xnn_init_qs8_cvt_scalar_params`` in src/microparams-init.c): with a ratio of 1/7, 24 of the 256
values were off by one in LiteRT 2.3. A MUL keeps float32's 24 bits, and is proven (``edgekit.quantization``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edgekit.calibration.ranges import Range
from edgekit.ir import Mul, Node
from edgekit.quantization import INT8_MAX, INT8_MIN

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from edgekit.ir import Graph

Grid = tuple[float, int]  # scale and zero point
RESCALED = "rescaled"  # how the name of a rescaled tensor ends


@dataclass(frozen=True, slots=True)
class Group:
    """Tensors with one scale and zero point.

    Attributes:
        members: in the order of the graph; most groups have one.
        sources: those that are not moved there from another member.
        range: of all sources.
        fixed: the grid, where it is not for us to choose.
    """

    members: tuple[str, ...]
    sources: tuple[str, ...]
    range: Range
    fixed: Grid | None


@dataclass(frozen=True, slots=True)
class Grouped:
    """A graph with its groups.

    Attributes:
        graph: in which everything is rescaled that cannot share a scale.
        ranges: of every int8 tensor, what was rescaled included.
        groups: of the int8 tensors, each in one.
    """

    graph: Graph
    ranges: Mapping[str, Range]
    groups: tuple[Group, ...]


def scale_groups(graph: Graph, ranges: Mapping[str, Range], fixed: Mapping[str, Grid]) -> Grouped:
    """The groups of the int8 tensors of ``graph``.

    Args:
        graph: with borders; only the tensors of ``ranges`` and ``fixed`` are int8.
        ranges: of every int8 tensor that is chosen a grid for, within its clamp.
        fixed: the grids that are not chosen.
    """
    known = {**ranges, **{name: _range_of(grid) for name, grid in fixed.items()}}
    while True:
        groups = tuple(_groups(graph, known, fixed))
        alien = next(((tensor, group) for group in groups for tensor in _aliens(graph, group, fixed)), None)
        if alien is None:
            return Grouped(graph, known, groups)
        tensor, group = alien
        movers = (node for node in graph.consumers(tensor) if node.op.moves_values)
        readers = {node.name for node in movers if node.output in group.members}
        graph, name = rescaled(graph, tensor, readers)
        known[name] = known[tensor]


def rescaled(graph: Graph, tensor: str, readers: Collection[str]) -> tuple[Graph, str]:
    """``graph`` with ``tensor`` rescaled for the nodes of these names, and what it is called there."""
    name = f"{tensor}.{RESCALED}"
    while name in graph.tensors:
        name = f"{name}.{RESCALED}"
    one = f"{name}.one"
    nodes: list[Node] = []
    for node in graph:
        reads = node.name in readers
        nodes.append(replace(node, inputs=tuple(name if reads and n == tensor else n for n in node.inputs)))
    place = next(i for i, node in enumerate(nodes) if name in node.inputs)
    nodes.insert(place, Node(name, Mul(), (tensor, one), name))
    tensors = {name: replace(graph.tensors[tensor], name=name)}
    return graph.with_nodes(nodes, tensors, {one: np.ones(1, np.float32)}), name


def sharing(graph: Graph, tensors: Collection[str]) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """The members and the sources of each group of ``tensors``, in the order of the graph."""
    joined = {name: name for name in graph.tensors if name in tensors}

    def root(name: str) -> str:
        while joined[name] != name:
            name = joined[name]
        return name

    moved: set[str] = set()
    for node in graph:
        if node.output in joined and node.op.moves_values:
            moved.add(node.output)
            for name in graph.activations(node):
                joined[root(node.output)] = root(name)
    members: dict[str, list[str]] = {}
    for name in joined:
        members.setdefault(root(name), []).append(name)
    for names in members.values():
        yield tuple(names), tuple(name for name in names if name not in moved)


def _groups(graph: Graph, known: Mapping[str, Range], fixed: Mapping[str, Grid]) -> Iterator[Group]:
    for members, sources in sharing(graph, known):
        found = [known[name] for name in sources]
        whole = Range(min(one.low for one in found), max(one.high for one in found))
        yield Group(members, sources, whole, next((fixed[name] for name in sources if name in fixed), None))


def _aliens(graph: Graph, group: Group, fixed: Mapping[str, Grid]) -> Iterator[str]:
    """The sources that cannot share the scale of their group."""
    if len(group.sources) == 1:
        return
    for name in group.sources:
        producer = graph.producer(name)
        clamp = None if producer is None else producer.activation
        low, high = (-math.inf, math.inf) if clamp is None else (clamp.low, clamp.high)
        if name in fixed or group.range.low < min(low, 0.0) or group.range.high > max(high, 0.0):
            yield name


def _range_of(grid: Grid) -> Range:
    scale, zero_point = grid
    return Range(scale * (INT8_MIN - zero_point), scale * (INT8_MAX - zero_point))
