"""What the outputs of a graph are for, once its task is known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.ir import VALUES
from edgekit.tasks.registry import FACT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgekit.facts import Fact
    from edgekit.ir import Graph


def in_its_roles(graph: Graph, facts: Iterable[Fact]) -> Graph:
    """``graph`` as a network of its task: a vector is taken for logits, unless ``facts`` name another task."""
    if all(fact.value == "classification" for fact in facts if fact.name == FACT):
        return graph
    return replace(graph, outputs=tuple(replace(output, role=VALUES) for output in graph.outputs))
