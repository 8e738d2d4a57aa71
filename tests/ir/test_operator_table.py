"""The table of functions by operator."""

from __future__ import annotations

import pytest

from edgekit.errors import UnsupportedOperator
from edgekit.ir import Add, Mul, Node
from edgekit.ir.registry import OperatorTable


@pytest.fixture
def table() -> OperatorTable[str]:
    table: OperatorTable[str] = OperatorTable("the abacus")
    table.implements(Add)("add")
    return table


def test_functions_are_found_by_operator(table: OperatorTable[str]) -> None:
    assert table[Node("sum", Add(), ("a", "b"), "c")] == "add"
    assert Add in table
    assert Mul not in table


def test_the_decorator_gives_the_function_back(table: OperatorTable[str]) -> None:
    assert table.implements(Mul)("mul") == "mul"


def test_a_second_function_is_a_mistake_of_ours(table: OperatorTable[str]) -> None:
    with pytest.raises(AssertionError, match="Add already belongs to add"):
        table.implements(Add)("another")


def test_a_missing_function_names_operator_layer_and_owner(table: OperatorTable[str]) -> None:
    with pytest.raises(
        UnsupportedOperator, match=r"the abacus has no Mul \(layer 'features.3.scale'\).*replace"
    ) as caught:
        table[Node("features.3.scale", Mul(), ("a", "b"), "c")]
    assert caught.value.__suppress_context__
