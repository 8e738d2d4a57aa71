"""Facts that contradict the file that carries them."""

from __future__ import annotations

from typing import Any

import pytest

from edgekit.exporters.metadata import IoDtype, Metadata, Precision
from edgekit.facts import Basis, Fact
from edgekit.preprocessing import Preprocessing
from edgekit.verification.statements import against, contradictions


def about(*facts: Fact, **architecture: Any) -> Metadata:
    preprocessing = Preprocessing((8, 8), 9, (0.5,) * 3, (0.5,) * 3)
    provenance = {"facts": [fact.to_dict() for fact in facts], "architecture": architecture}
    return Metadata(
        "net", Precision.FLOAT32, IoDtype.FLOAT32, preprocessing, preprocessing.normalization, False, (), "float",
        provenance,
    )  # fmt: skip


def fact(name: str, value: Any) -> Fact:
    return Fact(name, value, Basis.GIVEN, "the user's setting", "")


def test_facts_that_are_what_the_file_says() -> None:
    halves = {"mean": [0.5, 0.5, 0.5], "std": [0.5000000001, 0.5, 0.5]}
    found = about(
        fact("padding", "same"), fact("normalization", halves), fact("order", "RGB"), fact("labels", 10), padding="same"
    )
    assert contradictions(found) == ()
    assert contradictions(about()) == ()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("padding", "symmetric", "padding as symmetric among its facts, and as same elsewhere"),
        ("bn_eps", 1e-5, "bn_eps as 1e-05 among its facts, and as 0.001 elsewhere"),
        ("order", "BGR", "order as BGR among its facts, and as RGB elsewhere"),
        ("normalization", {"mean": [0.0] * 3, "std": [1.0] * 3}, "normalization as unit (mean 0, std 1) among"),
    ],
)
def test_facts_that_are_not(name: str, value: Any, said: str) -> None:
    (sentence,) = contradictions(about(fact(name, value), padding="same", bn_eps=0.001))
    assert said in sentence


def test_facts_that_cannot_be_read() -> None:
    found = about()
    found.provenance["facts"] = [{"name": "padding"}]
    (sentence,) = contradictions(found)
    assert "provenance.facts is damaged" in sentence


def stated(name: str, value: Any) -> Fact:
    return Fact(name, value, Basis.STATED, "its model_config", "")


def test_what_the_checkpoint_states_is_held_against_the_file() -> None:
    found = about(padding="symmetric", bn_eps=0.001)
    assert against(found, (stated("bn_eps", 0.001), stated("order", "RGB"), stated("labels", 3))) == ((), ())
    (wrong,), insisted = against(found, (stated("padding", "same"),))
    assert wrong.startswith("padding is same by the checkpoint (its model_config), and the file was exported with symm")
    assert insisted == ()


def test_what_the_user_gave_all_the_same_is_no_fault_and_stays_in_view() -> None:
    found = about(fact("padding", "symmetric"), padding="symmetric")
    wrong, (insisted,) = against(found, (stated("padding", "same"),))
    assert wrong == ()
    assert insisted.endswith("exported with symmetric, as was given")
