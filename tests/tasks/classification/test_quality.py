"""Classes, confusions and calibration of confidence, against counts by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.tasks.classification.quality import BINS, confusion_matrix, confusions, of_classes, reliability

NAMES = ["ant", "bee", "cat"]
PROBABILITIES = np.array([[0.9, 0.05, 0.05], [0.2, 0.7, 0.1], [0.1, 0.7, 0.2], [0.1, 0.7, 0.2], [0.2, 0.2, 0.6]])
LOGITS, TARGETS = np.log(PROBABILITIES), [0, 1, 2, 2, 2]


def test_classes_and_confusions() -> None:
    found = of_classes(confusion_matrix(LOGITS, TARGETS), NAMES)
    shown = [(one.name, one.number, round(one.value, 1)) for one in found]
    assert shown == [("cat", 3, 33.3), ("ant", 1, 100.0), ("bee", 1, 100.0)]  # fmt: skip
    (one,) = confusions(LOGITS, TARGETS, NAMES, list("abcde"))
    assert (one.right, one.said, one.number, one.images) == ("cat", "bee", 2, ("c", "d"))
    assert one.share == pytest.approx(2 / 3)


def test_the_expected_calibration_error_is_the_mean_over_bins() -> None:
    found = reliability(LOGITS, TARGETS)
    assert found.accuracy == pytest.approx(0.6)
    assert found.confidence == pytest.approx((0.9 + 3 * 0.7 + 0.6) / 5)
    # Bins of one fifteenth: 0.9 alone, right; three of 0.7, of which one is right; 0.6 alone, right.
    assert found.ece == pytest.approx((0.1 + 3 * abs(1 / 3 - 0.7) + 0.4) / 5)
    assert len(found.bins) == BINS
    assert sum(one.images for one in found.bins) == 5
