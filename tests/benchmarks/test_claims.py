"""The table of docs/operators.md against what runtimes give on this machine."""

from __future__ import annotations

import pytest

from edgekit.benchmarks.claims import found as findings
from edgekit.benchmarks.claims.cases import CASES, Case
from edgekit.benchmarks.claims.measuring import Trial, measure
from edgekit.benchmarks.claims.table import PAGE, page
from edgekit.ir import operators

KEPT = findings.load()
OURS = {name: op for name, op in operators().items() if op.__module__.startswith("edgekit.")}


def test_every_operator_has_a_row() -> None:
    """But those that stand at borders, which compute nothing."""
    wanted = {name for name, op in OURS.items() if op.border is None}
    assert [case.name for case in CASES] == list(dict.fromkeys(one.operator for one in KEPT))
    assert wanted <= {case.name for case in CASES}


def test_the_page_says_what_was_found() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(KEPT), "python -m edgekit.benchmarks.claims --write"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_this_machine_finds_the_same(case: Case) -> None:
    kept = {one.form: one for one in KEPT if one.operator == case.name}
    found = measure(Trial.of(case))
    assert [one.form for one in found] == list(kept)
    for one in found:
        before = kept[one.form]
        assert (one.integers, one.near, one.tried) == (before.integers, before.near, before.tried)
        assert len(one.largest) >= 6
        worse = {name: off for name, off in one.largest.items() if off > before.largest.get(name, 0)}
        assert one.holds, f"{one.operator}, {one.form} is claimed to be exact, and is not: {worse}"
        assert not worse, f"{one.operator}, {one.form} differs by more than the page says"


def test_a_false_claim_is_not_written() -> None:
    wrong = findings.Found("Add", "", "extremes", "Add", "", {"LiteRT, XNNPACK": 1})
    with pytest.raises(AssertionError, match="claimed, and not so"):
        page([wrong])
