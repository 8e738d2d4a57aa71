"""Names that a program may use, for tensors and constants that are named as the checkpoint names them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.exporters.coreml import NORMALIZED
from edgekit.exporters.names import INPUT, public_names
from edgekit.ir.naming import ENDPOINTS, Names
from edgekit.ir.operators.operator import Border

if TYPE_CHECKING:
    from edgekit.ir import Graph

RESULT, REAL = "_result", "_real"  # behind the name of stored integers: what they are made from, what they stand for
CLASS_LABEL, CLASS_SCORES = "classLabel", "classLabel_probs"  # what coremltools calls them, and so every iOS tutorial


def names_in_file(graph: Graph) -> dict[str, str]:
    """What each tensor and constant of ``graph`` is called in a package.

    The endpoints' names are left out, whether or not the package uses them, so that the answer depends on nothing but
    the graph.
    """
    names = Names({*ENDPOINTS, *(output.name for output in graph.outputs)})
    return {name: names.unique(name) for name in (*graph.tensors, *graph.constants)}


def activation_names(graph: Graph) -> dict[str, tuple[str, ...]]:
    """What each tensor of ``graph`` may be called in a package, by its name in the graph.

    Stored integers come first, and at last what would be their reals if they were not quantized. The reals that stand
    at the border of a region that is kept in float are those of the integers before it.
    """
    names, public = names_in_file(graph), public_names(graph)
    ends = {tensor: (public[tensor],) if tensor in public else () for tensor in graph.tensors}
    found = {tensor: (names[tensor], *ends[tensor], f"{names[tensor]}{RESULT}") for tensor in graph.tensors}
    found[graph.input] = (names[graph.input], NORMALIZED, INPUT)
    borders = {node.output: node.operand("x") for node in graph if node.op.border is Border.TO_REALS}
    return found | {tensor: (f"{names[source]}{REAL}",) for tensor, source in borders.items()}
