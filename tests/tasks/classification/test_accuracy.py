"""Accuracy against a definition that is slow and plain."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edgekit.tasks.classification import Classification, accuracy
from edgekit.tasks.statistics import sqnr_db


@given(data=st.data(), classes=st.integers(1, 12), images=st.integers(1, 5))
def test_the_rank_of_the_label_decides(data: st.DataObject, classes: int, images: int) -> None:
    logits = data.draw(arrays.arrays(np.int8, (images, classes)))
    labels = data.draw(st.lists(st.integers(0, classes - 1), min_size=images, max_size=images))
    # Before the label come the higher logits, and of equal ones those of earlier classes.
    ranks = [
        sum((row > row[label]) | ((row == row[label]) & (np.arange(classes) < label)))
        for row, label in zip(logits, labels, strict=True)
    ]
    found = accuracy.measure(logits, labels)
    assert found.images == images
    assert found.top1 == pytest.approx(np.mean([rank < 1 for rank in ranks]))
    assert found.top5 == pytest.approx(np.mean([rank < 5 for rank in ranks]))
    assert found.top1 == pytest.approx((logits.argmax(1) == labels).mean())


def test_agreement() -> None:
    a = np.array([[1, 2], [3, 0], [5, 5]])
    assert accuracy.agreement(a, a) == 1.0
    assert accuracy.agreement(a, a[:, ::-1]) == pytest.approx(1 / 3)
    assert accuracy.agreement(a[:0], a[:0]) == 0.0


def test_noise_of_a_tenth_is_twenty_decibels() -> None:
    floats = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    assert sqnr_db(floats * 1.1, floats) == pytest.approx(20, abs=1e-5)
    assert sqnr_db(floats, floats) == np.inf


@pytest.mark.parametrize("images", [200, 650])
def test_the_paired_interval_covers_the_true_drop(images: int) -> None:
    """Drawn 2000 times with known chances, it holds the true drop in about 95 of 100 cases."""
    lost, gained = 0.06, 0.04
    random = np.random.default_rng(images)
    fate = random.choice(["lost", "gained", "same"], size=(2000, images), p=[lost, gained, 1 - lost - gained])
    right, wrong = np.array([1, 0]), np.array([0, 1])
    covered, task = 0, Classification("logits", 2)
    for row in fate:
        found, floats = (np.where((row == bad)[:, None], wrong, right) for bad in ("lost", "gained"))
        drop = task.drop({"logits": found}, {"logits": floats}, (0,) * images)
        assert drop.low is not None
        assert drop.high is not None
        covered += drop.low <= 100 * (lost - gained) <= drop.high
    assert 0.93 <= covered / len(fate) <= 0.97
