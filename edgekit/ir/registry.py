"""One operator, one function: the tables that every interpreter, executor and exporter looks its operators up in.

A table fails closed. For each operator there is a function, or a reason why there is none; an operator that a table has
not heard of is refused by name. Tables stand at the top of modules, where a test finds all of them and holds every
operator against each.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Concatenate, Generic, ParamSpec, TypeVar

from edgekit.errors import UnsupportedOperator

if TYPE_CHECKING:
    from edgekit.ir.graph import Node
    from edgekit.ir.operators.operator import Op

AnOp = TypeVar("AnOp", bound="Op")
P = ParamSpec("P")
R = TypeVar("R")
Scope = Callable[[type["Op"]], str]  # why a table has nothing to do with an operator, as the end of a sentence; or ""


def canonical(op: type[Op]) -> str:
    """The scope of whatever runs or writes graphs that the passes are done with."""
    return op.lowered


class OperatorTable(Generic[P, R]):
    """Functions by operator; each takes the operator itself first.

    >>> from edgekit.ir import Add, BatchNorm, Node
    >>> table: OperatorTable[[int, int], int] = OperatorTable("the abacus")
    >>> @table.implements(Add)
    ... def add(op: Add, a: int, b: int) -> int: return a + b
    >>> table.refuses(BatchNorm, "it counts whole numbers only")
    >>> table[Node("sum", Add(), ("a", "b"), "c")](1, 2)
    3

    Attributes:
        owner: who lacks an operator, in words that a user understands ("TFLite").
    """

    def __init__(self, owner: str, scope: Scope | None = None) -> None:
        """``scope`` says which operators a table has nothing to do with; without one it has to do with all."""
        self.owner = owner
        self._scope = scope
        self._functions: dict[type[Op], Callable[..., R]] = {}
        self._reasons: dict[type[Op], str] = {}

    def implements(
        self, *ops: type[AnOp]
    ) -> Callable[[Callable[Concatenate[AnOp, P], R]], Callable[Concatenate[AnOp, P], R]]:
        """Register the decorated function for ``ops``; a second one for the same operator is our mistake."""

        def register(function: Callable[Concatenate[AnOp, P], R]) -> Callable[Concatenate[AnOp, P], R]:
            for op in ops:
                assert self._is_new(op), f"{op.__name__} already belongs to {self.refusal(op) or self._functions[op]}"
                self._functions[op] = function
            return function

        return register

    def refuses(self, op: type[Op], reason: str) -> None:
        """Say why there will be no function for ``op``: the end of a sentence."""
        assert self._is_new(op), f"{op.__name__} already belongs to {self.refusal(op) or self._functions[op]}"
        self._reasons[op] = reason

    def refusal(self, op: type[Op]) -> str | None:
        """Why there is no function for ``op``; None where there is one, or where nobody has thought of it."""
        return self._reasons.get(op) or (self._scope and self._scope(op)) or None

    def __contains__(self, op: type[Op]) -> bool:
        return op in self._functions

    def __getitem__(self, node: Node) -> Callable[P, R]:
        """The function for the operator of ``node``, which it is given already.

        Raises:
            UnsupportedOperator: there is none.
        """
        op = type(node.op)
        if op in self._functions:
            return functools.partial(self._functions[op], node.op)
        reason = self.refusal(op) or "replace the layer, or export to another format"
        raise UnsupportedOperator(f"{self.owner} has no {op.__name__} (layer {node.name!r}): {reason}")

    def _is_new(self, op: type[Op]) -> bool:
        return op not in self._functions and self.refusal(op) is None
