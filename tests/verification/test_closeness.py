"""Which of two models is closer to float."""

from __future__ import annotations

from edgekit.verification.closeness import Closeness


def test_closer_is_a_higher_sqnr_and_no_lower_agreement_than_chance_explains() -> None:
    old = Closeness(0.9, 12.0)
    assert Closeness(0.9, 12.1).beats(old, 50)
    assert Closeness(0.86, 12.1).beats(old, 50)  # a standard error is 0.042
    assert not Closeness(0.84, 13.0).beats(old, 50)
    assert not Closeness(0.9, 12.0).beats(old, 50)
    assert not Closeness(0.95, 11.9).beats(old, 50)
    assert Closeness(0.98, 13.0).beats(Closeness(1.0, 12.0), 50)  # one image
    assert not Closeness(0.96, 13.0).beats(Closeness(1.0, 12.0), 50)
