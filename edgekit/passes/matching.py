"""How a pass says which nodes it rewrites: patterns, declared as data at its top, and questions about a graph.

A pass is a rewrite of particular operators, so it names them. Everything else asks what operators declare
(``edgekit.ir.operators.operator``), or looks them up in a table (``edgekit.ir.registry``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from edgekit.ir import Graph, Node, Op

AnOp = TypeVar("AnOp", bound="Op")


@dataclass(frozen=True, slots=True)
class Pattern(Generic[AnOp]):
    """The nodes of one operator.

    >>> from edgekit.ir import Clamp, Node
    >>> clamps = Pattern(Clamp)
    >>> clamps.match(Node("relu", Clamp(0.0), ("x",), "y"))
    Clamp(low=0.0, high=inf)
    """

    op: type[AnOp]

    def match(self, node: Node | None) -> AnOp | None:
        """The operator of ``node``, if it is the one of this pattern."""
        return node.op if node is not None and isinstance(node.op, self.op) else None


def has_one_reader(graph: Graph, tensor: str) -> bool:
    """Whether one node reads ``tensor`` and nobody else sees it, so that it may change or go along with that node."""
    return tensor not in graph.output_tensors and len(graph.consumers(tensor)) == 1


def constant_operand(graph: Graph, node: Node) -> str | None:
    """The constant that is the last operand of a node beside one tensor; None if it reads tensors only, or several."""
    constants = [name for name in node.inputs if name in graph.constants]
    return constants[0] if len(constants) == 1 and node.inputs[1:] == (constants[0],) else None


def number_operand(graph: Graph, node: Node) -> float | None:
    """The number that is the last operand of a node beside one tensor; None if that is something else."""
    constant = constant_operand(graph, node)
    return None if constant is None or graph.constants[constant].size > 1 else graph.constants[constant].item()
