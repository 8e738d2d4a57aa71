"""Networks as Graphs, wherever they come from, and what a caller wants to know of one first."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgekit.ir import Graph


def input_shape(graph: Graph) -> tuple[int, int, int]:
    """[C, H, W] of the image that ``graph`` takes."""
    channels, height, width = graph.tensors[graph.input].shape
    return channels, height, width


def num_classes(graph: Graph) -> int | None:
    """How many logits ``graph`` gives; None where it gives none."""
    return None if graph.logits is None else graph.tensors[graph.logits.tensor].shape[0]
