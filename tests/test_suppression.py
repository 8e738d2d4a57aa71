"""Which boxes stay, against the rule applied box by box, and in cases that can be counted."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.annotations.boxes import overlap
from edgekit.suppression import Suppression, suppress
from edgekit.tasks.detection.coding import probabilities

RANDOM = np.random.default_rng(0)


def one_by_one(boxes: np.ndarray, scores: np.ndarray, rule: Suppression) -> list[tuple[int, int]]:
    """(class, prior) of each box that stays: the greedy rule, in the order that is specified."""
    found: list[tuple[float, int, int]] = []
    for kind, of in enumerate(scores.T):
        ranked = sorted((-score, kind, prior) for prior, score in enumerate(of.tolist()) if score > rule.score)
        found += ranked[: rule.candidates]
    kept: list[tuple[int, int]] = []
    for _, kind, prior in sorted(found):
        better = [other for its_kind, other in kept if its_kind == kind]
        if not better or overlap(boxes[[prior]], boxes[better]).max() <= rule.overlap:
            kept.append((kind, prior))
    return kept[: rule.most]


@pytest.mark.parametrize(
    "rule", [Suppression(0.1, 0.5, 200, 30), Suppression(0.02, 0.55, 7), Suppression(0.9, 0.5, 5, 5)]
)
def test_the_rule_is_torchvisions_with_one_order(rule: Suppression) -> None:
    low = RANDOM.uniform(0, 0.6, (300, 2))
    boxes = np.concatenate([low, low + RANDOM.uniform(0.1, 0.4, (300, 2))], 1).astype(np.float32)
    scores = RANDOM.uniform(0, 1, (300, 3)).round(1).astype(np.float32)  # with many ties
    found, right = suppress(boxes, scores, rule), one_by_one(boxes.astype(np.float64), scores, rule)
    assert found.classes.tolist() == [kind for kind, _ in right]
    np.testing.assert_array_equal(found.boxes, boxes[[prior for _, prior in right]])


def test_what_a_box_suppresses_does_not_suppress_others() -> None:
    row = np.array([[0.0, 0, 0.4, 1], [0.1, 0, 0.5, 1], [0.2, 0, 0.6, 1]], np.float32)  # neighbours overlap by 0.6
    scores = np.array([[0.9, 0.1], [0.8, 0.7], [0.6, 0.1]], np.float32)
    found = suppress(row, scores, Suppression(0.5, 0.5, 10, 10))
    assert found.boxes[:, 0].tolist() == pytest.approx([0.0, 0.1, 0.2])
    assert found.classes.tolist() == [0, 1, 0]
    assert len(suppress(row, scores, Suppression(0.95, 0.5, 10, 10))) == 0


def test_the_background_comes_first_and_is_no_class() -> None:
    found = probabilities(np.log(np.array([[2.0, 1, 1], [1, 6, 1]])))
    np.testing.assert_allclose(found, [[0.25, 0.25], [0.75, 0.125]], rtol=1e-6)
