"""Decisions on integers: those of the soft-max within the stated bound, and the same whatever a file gives."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.device.exits import ONE, ExitRule, taken
from edgekit.tasks.classification.answers import probabilities

SCALE = float(np.float32(0.0837))
LOGITS = np.random.default_rng(0).integers(-128, 128, (4000, 10)).astype(np.int8) // 3


@pytest.mark.parametrize(("temperature", "confidence"), [(1.0, 0.9), (0.6, 0.5), (2.5, 0.3), (1.0, 1.0)])
def test_decisions_are_those_of_the_soft_max(temperature: float, confidence: float) -> None:
    rule = ExitRule.of("exit1", SCALE, temperature, confidence)
    sure = probabilities(LOGITS * SCALE / temperature).max(1)
    bound = confidence**2 * LOGITS.shape[1] / (2 * ONE) + 1 / ONE
    left = rule.leaves(LOGITS)
    assert 0 < left.sum() < len(left) or confidence == 1
    assert (left[sure >= confidence + bound]).all()
    assert not left[sure < confidence - bound].any()


def test_decisions_are_the_same_of_integers_and_of_what_they_stand_for() -> None:
    rule = ExitRule.of("exit1", SCALE, 1.3, 0.4)
    wanted = rule.leaves(LOGITS)
    assert (rule.leaves((LOGITS.astype(np.int16) + 128).astype(np.uint8)) == wanted).all()
    assert (rule.leaves(np.float32(SCALE) * (LOGITS.astype(np.float32) + 7)) == wanted).all()
    assert ExitRule.from_dict(rule.to_dict()) == rule


def test_probabilities_are_those_of_the_soft_max() -> None:
    rule = ExitRule.of("last", SCALE, 1.3, None)
    assert np.allclose(rule.probabilities(LOGITS), probabilities(LOGITS * SCALE / 1.3), atol=1e-5)
    assert rule.leaves(LOGITS).all()


def test_plain_integer_arithmetic_decides_alike() -> None:
    rule = ExitRule.of("exit1", SCALE, 1.0, 0.6)
    assert [rule.lets_go(row) for row in LOGITS[:500].tolist()] == rule.leaves(LOGITS[:500]).tolist()


def test_who_leaves_nowhere_takes_the_last_exit() -> None:
    far, near = [100, 0, 0], [1, 0, 0]
    first, second = np.array([far, near, near], np.int8), np.array([far, far, near], np.int8)
    rules = [ExitRule.of(name, SCALE, 1.0, sure) for name, sure in (("exit1", 0.9), ("exit2", 0.9), ("last", None))]
    assert taken([first, second, first], rules).tolist() == [0, 1, 2]


def test_a_table_of_another_length_is_refused() -> None:
    values = ExitRule.of("exit1", SCALE, 1.0, 0.9).to_dict()
    with pytest.raises(ValueError, match="255 differences"):
        ExitRule.from_dict({**values, "table": values["table"][1:]})
