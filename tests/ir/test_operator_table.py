"""The table of functions by operator."""

from __future__ import annotations

import pytest

from edgekit.errors import UnsupportedOperator
from edgekit.ir import Add, BatchNorm, Conv2d, Mul, Node, Pad, Padding
from edgekit.ir.registry import OperatorTable, canonical


@pytest.fixture
def table() -> OperatorTable[[int, int], int]:
    table: OperatorTable[[int, int], int] = OperatorTable("the abacus", canonical)

    @table.implements(Add)
    def _add(_: Add, a: int, b: int) -> int:
        return a + b

    return table


def test_functions_are_found_by_operator_and_given_it(table: OperatorTable[[int, int], int]) -> None:
    @table.implements(Pad)
    def _pad(op: Pad, a: int, b: int) -> int:
        return op.padding.top + a + b

    assert table[Node("sum", Add(), ("a", "b"), "c")](1, 2) == 3
    assert table[Node("pad", Pad(Padding(5)), ("a",), "c")](1, 2) == 8
    assert Add in table
    assert Mul not in table


def test_a_second_function_is_a_mistake_of_ours(table: OperatorTable[[int, int], int]) -> None:
    with pytest.raises(AssertionError, match="Add already belongs to"):
        table.implements(Add)(lambda _, a, b: a - b)
    with pytest.raises(AssertionError, match="Add already belongs to"):
        table.refuses(Add, "it has too few beads")


def test_a_missing_function_names_operator_layer_and_owner(table: OperatorTable[[int, int], int]) -> None:
    with pytest.raises(UnsupportedOperator, match=r"the abacus has no Mul \(layer 'features.3.scale'\): replace"):
        table[Node("features.3.scale", Mul(), ("a", "b"), "c")]


def test_a_refusal_says_why(table: OperatorTable[[int, int], int]) -> None:
    table.refuses(Mul, "it has too few beads")
    with pytest.raises(UnsupportedOperator, match=r"the abacus has no Mul \(layer 'm'\): it has too few beads"):
        table[Node("m", Mul(), ("a", "b"), "c")]
    with pytest.raises(UnsupportedOperator, match=r"the abacus has no BatchNorm .*: it is folded into the layer"):
        table[Node("bn", BatchNorm(1e-5), ("x", "g", "b", "m", "v"), "y")]
    assert table.refusal(Mul) == "it has too few beads"
    assert table.refusal(Conv2d) is None
    with pytest.raises(AssertionError, match="BatchNorm already belongs to it is folded"):
        table.refuses(BatchNorm, "whatever")
