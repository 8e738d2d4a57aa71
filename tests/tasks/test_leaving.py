"""Temperatures and confidences, against what is known of logits that were made so."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from edgekit.tasks.classification.answers import probabilities
from edgekit.tasks.leaving import choose, told

CLASSES, MACS = 4, (1, 3, 10)


def made(images: int, temperature: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose soft-max at a temperature is how often each class is right, and such classes."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 3, (images, CLASSES))
    chances = probabilities(logits / temperature).cumsum(1)
    return logits, (random.random((images, 1)) > chances).sum(1)


def test_temperatures_are_those_at_which_exits_are_as_right_as_they_are_sure() -> None:
    logits, targets = made(4000, 2.0, 0)
    temperatures, (confidence,) = choose([logits, logits], targets, MACS[:2], 100)
    assert temperatures == pytest.approx((2.0, 2.0), rel=0.1)  # all have left: the last one is calibrated on all
    assert confidence == probabilities(logits / temperatures[0]).max(1).min()


def test_the_last_exit_is_calibrated_on_what_reaches_it() -> None:
    sure, targets = made(1000, 1.0, 1)
    unsure = sure + np.random.default_rng(2).normal(0, 3, sure.shape)
    (first, last), (confidence,) = choose([unsure, sure], targets, MACS[:2], 0)
    there = probabilities(unsure / first).max(1) < confidence
    assert 50 < there.sum() < len(there)
    colder, chosen, hotter = (
        -np.log(probabilities(sure[there] / (last * step))[np.arange(there.sum()), targets[there]]).mean()
        for step in (0.9, 1, 1.1)
    )
    assert chosen <= min(colder, hotter)


def test_nothing_cheaper_keeps_the_drop() -> None:
    random = np.random.default_rng(2)
    targets = random.integers(0, CLASSES, 12)
    logits = [random.normal(0, 1, (12, CLASSES)) + power * np.eye(CLASSES)[targets] for power in (0.5, 1.5, 3)]
    chosen = temperatures, confidences = choose(logits, targets, MACS, 10)
    sure = [probabilities(own / t).max(1) for own, t in zip(logits, temperatures, strict=True)]

    def result(limits: tuple[float, ...]) -> tuple[float, float]:
        taken = np.stack([own >= limit for own, limit in zip(sure, (*limits, 0), strict=True)]).argmax(0)
        found = told("abc", logits, targets, taken, MACS, chosen=chosen)
        return found.macs, found.top1

    macs, top1 = result(confidences)
    last = (logits[-1].argmax(1) == targets).mean()
    assert top1 >= last - 0.1
    every = itertools.product(*([*own, 2.0] for own in sure[:2]))
    assert macs == pytest.approx(min(cost for cost, right in map(result, every) if right >= last - 0.1))


def test_what_happens_at_exits_adds_up() -> None:
    logits, targets = made(100, 1.0, 3)
    taken = np.arange(100) % 2
    found = told("ab", [logits, logits], targets, taken, MACS[:2], chosen=((1.0, 1.0), (0.5,)))
    assert [one.share for one in found.exits] == [0.5, 0.5]
    assert found.macs == 2
    assert found.top1 == found.last_top1 == np.mean([one.top1 for one in found.exits])
