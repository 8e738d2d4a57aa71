"""One operator, one function: the table that every interpreter, executor and exporter looks its operators up in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from edgekit.errors import UnsupportedOperator

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.ir.graph import Node
    from edgekit.ir.ops import Op

F = TypeVar("F")


class OperatorTable(Generic[F]):
    """Functions by operator.

    >>> from edgekit.ir.ops import Add
    >>> table = OperatorTable("the abacus")
    >>> @table.implements(Add)
    ... def add(a, b): return a + b
    """

    def __init__(self, owner: str) -> None:
        """``owner`` is who lacks an operator, in words that a user understands ("TFLite int8")."""
        self.owner = owner
        self._functions: dict[type[Op], F] = {}

    def implements(self, op: type[Op]) -> Callable[[F], F]:
        """Register the decorated function for ``op``; a second one is our mistake."""

        def register(function: F) -> F:
            assert op not in self._functions, f"{op.__name__} already belongs to {self._functions[op]}"
            self._functions[op] = function
            return function

        return register

    def __contains__(self, op: type[Op]) -> bool:
        return op in self._functions

    def __getitem__(self, node: Node) -> F:
        """The function for the operator of ``node``.

        Raises:
            UnsupportedOperator: there is none.
        """
        try:
            return self._functions[type(node.op)]
        except KeyError:
            raise UnsupportedOperator(
                f"{self.owner} has no {type(node.op).__name__} (layer {node.name!r}): "
                f"replace the layer, or export to another format"
            ) from None
