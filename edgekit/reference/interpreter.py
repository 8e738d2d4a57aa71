"""The walk over a Graph that both interpreters share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from edgekit.ir import Graph, Node

Compute = Callable[["Node", "list[NDArray[Any]]"], "NDArray[Any]"]


def interpret(
    graph: Graph, x: NDArray[Any], constants: Mapping[str, NDArray[Any]], compute: Compute, keep: Collection[str]
) -> dict[str, NDArray[Any]]:
    """Run every node of ``graph``.

    Args:
        graph: the network.
        x: its input, [N, C, H, W].
        constants: what nodes read besides tensors, by name.
        compute: makes the output of a node from its inputs.
        keep: names of the tensors to return. Others are forgotten after their last reader.

    Returns:
        The tensors in ``keep`` by name.
    """
    values = {graph.input: x}
    last_reader = {name: node for node in graph for name in node.inputs}
    for node in graph:
        values[node.output] = compute(node, [values[n] if n in values else constants[n] for n in node.inputs])
        for name in set(graph.activations(node)):
            if last_reader[name] is node and name not in keep:
                del values[name]
    return {name: values[name] for name in keep}
