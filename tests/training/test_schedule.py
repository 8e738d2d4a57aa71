from __future__ import annotations

import math

import pytest

from edgekit.config import TrainSettings
from edgekit.training.recipe import resolve
from edgekit.training.schedule import rate


def test_a_cosine_rises_in_the_warm_up_and_falls_to_nearly_nothing() -> None:
    recipe = resolve(TrainSettings(epochs=10, lr=1.0, warmup_epochs=2), 224)
    rates = [rate(recipe, step, 5) for step in range(50)]
    assert rates[:10] == pytest.approx([0.1 * (step + 1) for step in range(10)])
    assert rates[10:] == pytest.approx([(1 + math.cos(math.pi * step / 40)) / 2 for step in range(40)])


def test_steps_come_after_their_epochs() -> None:
    recipe = resolve(TrainSettings(recipe="cifar10"), 32)
    assert [rate(recipe, epoch * 7, 7) for epoch in (0, 99, 100, 149, 150, 199)] == pytest.approx(
        [0.1, 0.1, 0.01, 0.01, 0.001, 0.001]
    )
