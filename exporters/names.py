"""What callers know the endpoints of a file by: the same in every format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from edgekit.ir import Graph

INPUT: Final = "image"


def public_names(graph: Graph) -> dict[str, str]:
    """What the endpoints of a file are called, by the names of the graph's tensors."""
    return {graph.input: INPUT, **{output.tensor: output.name for output in graph.outputs}}
