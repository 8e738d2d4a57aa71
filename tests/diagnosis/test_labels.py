"""Labels against the answers of a network: what was planted is named, and a network that errs raises no alarm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgekit.diagnosis.finding import Trouble
from edgekit.diagnosis.labels import of_labels, of_numbers
from edgekit.diagnosis.remedies import DataSet

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

NAMES = ["ant", "bee", "cat", "dog", "elk", "fox"]
DATA = DataSet(None, [f"{i}.png" for i in range(240)])


def answers(right: NDArray[np.int64], errs: float = 0.1) -> NDArray[np.float64]:
    """Logits of a network that errs in so many cases, and is less sure then."""
    random = np.random.default_rng(0)
    wrong = random.random(len(right)) < errs
    said = np.where(wrong, random.integers(0, len(NAMES), len(right)), right)
    logits = random.normal(0, 0.5, (len(right), len(NAMES)))
    logits[np.arange(len(right)), said] += np.where(wrong, 2.0, 5.0)
    return logits


RIGHT = np.repeat(np.arange(6), 40)


def swapped(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.select([labels == 1, labels == 4], [4, 1], labels)


def moved(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    return (labels + 1) % 6


def mislabelled(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    found = labels.copy()
    found[np.flatnonzero(labels == 2)[:16]] = 5
    return found


@pytest.mark.parametrize(
    ("change", "trouble"),
    [(swapped, Trouble.SWAPPED_LABELS), (moved, Trouble.OTHER_ORDER), (mislabelled, Trouble.MISLABELLED)],
)
def test_wrong_labels_are_named(change: Callable[[NDArray[np.int64]], NDArray[np.int64]], trouble: Trouble) -> None:
    found = list(of_labels(answers(RIGHT), change(RIGHT).tolist(), NAMES, DATA))
    assert [one.trouble for one in found] == [trouble]


@pytest.mark.parametrize("errs", [0.0, 0.1, 0.3, 0.6])
def test_a_network_that_errs_raises_no_alarm(errs: float) -> None:
    assert list(of_labels(answers(RIGHT, errs), RIGHT.tolist(), NAMES, DATA)) == []


def test_classes_of_unlike_size_are_told() -> None:
    (found,) = of_numbers(np.array([200, 180, 9]), NAMES[:3], [0.9, 0.9, 0.3], "training images", "do")
    assert "9 training images of cat, 200 of ant; the network names 30 % of cat right" in found.evidence
    assert list(of_numbers(np.array([200, 180, 60]), NAMES[:3], [None] * 3, "training images", "do")) == []
