"""Facts travel as JSON, and what is assumed stays so."""

from __future__ import annotations

import json

import pytest

from edgekit import facts
from edgekit.facts import Basis, Fact

PADDING = Fact("padding", "same", Basis.ASSUMED, "usual for the layout", "--padding same|symmetric")


@pytest.mark.parametrize("basis", list(Basis))
def test_a_fact_survives_json(basis: Basis) -> None:
    fact = Fact("normalization", {"mean": [0.5], "std": [0.5]}, basis, "why", "--preprocessing tf")
    found = facts.of_provenance(json.loads(json.dumps({facts.KEY: [fact.to_dict()]})))
    assert found == (fact,)
    assert bool(facts.assumed(found)) == (basis in {Basis.ASSUMED, Basis.CONTRADICTED})


def test_a_file_from_before_has_none() -> None:
    assert facts.of_provenance({}) == ()


def test_later_facts_replace_those_of_the_same_name() -> None:
    found = Fact("padding", "symmetric", Basis.FOUND, "batch normalization", PADDING.setting)
    order = Fact("order", "RGB", Basis.GIVEN, "--order", "--order RGB|BGR")
    assert facts.replaced([PADDING], [order, found]) == (found, order)


def test_an_unknown_basis_is_refused() -> None:
    with pytest.raises(ValueError, match="guessed"):
        Fact.from_dict({**PADDING.to_dict(), "basis": "guessed"})
