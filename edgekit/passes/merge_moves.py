"""Rearrangements behind one another become one, so do parts of parts, and those that move nothing go.

Given   y = r(x);  z = s(y)
Result  z = (s r)(x)

Networks write a channel shuffle as reshape, transpose and reshape, and the rows of a head's boxes likewise. In one they
can be written as what a format has for them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.ir import Graph, Rearrange, Slice
from edgekit.passes.matching import Pattern, has_one_reader

if TYPE_CHECKING:
    from edgekit.ir import Node

_REARRANGED, _PART = Pattern(Rearrange), Pattern(Slice)


def merge_moves(graph: Graph) -> Graph:
    """Merge every rearrangement or part with one before it that nobody else reads."""
    nodes: dict[str, Node] = {}  # by output
    for node in graph:
        before = nodes.get(node.inputs[0])
        both = None if before is None else _in_one(before, node)
        if before is not None and both is not None and has_one_reader(graph, before.output):
            del nodes[before.output]
            nodes[node.output] = replace(node, op=both, inputs=before.inputs)
        else:
            nodes[node.output] = node
    return _without_identities(graph.with_nodes(tuple(nodes.values())))


def _in_one(before: Node, node: Node) -> Rearrange | Slice | None:
    """What does the same as ``before`` and ``node`` behind it; None if one operator cannot."""
    if (first := _REARRANGED.match(before)) and (second := _REARRANGED.match(node)):
        return first.then(second)
    if (whole := _PART.match(before)) and (part := _PART.match(node)):
        return whole.then(part)
    return None


def _without_identities(graph: Graph) -> Graph:
    """Without what moves nothing, unless callers know its result beside what it reads."""
    places: dict[str, str] = {}
    nodes: list[Node] = []
    for node in graph:
        read = replace(node, inputs=tuple(places.get(name, name) for name in node.inputs))
        op, x = _REARRANGED.match(read) or _PART.match(read), read.inputs[0]
        known = node.output in graph.output_tensors and (x == graph.input or x in graph.output_tensors)
        if op is not None and op.moves_nothing(graph.tensors[x].shape) and not known:
            places[node.output] = x
        else:
            nodes.append(read)
    outputs = tuple(replace(output, tensor=places.get(output.tensor, output.tensor)) for output in graph.outputs)
    return graph.with_nodes(nodes, outputs=outputs)
