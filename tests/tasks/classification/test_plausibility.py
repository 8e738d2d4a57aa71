"""When a float network is too poor to be measured against."""

from __future__ import annotations

import pytest

from edgekit.tasks.classification.accuracy import Accuracy
from edgekit.tasks.classification.plausibility import judged


@pytest.mark.parametrize(
    ("top1", "images", "confidence", "classes", "said"),
    [
        # Measured on 120 of realdata's images, in the way that each was trained and in wrong ones.
        (0.775, 120, 0.698, 1000, ""),
        (0.833, 120, 0.718, 1000, ""),
        (0.0, 120, 1.0, 1000, "at chance level"),  # 0 to 255
        (0.34, 650, 0.9, 1000, "far below"),
        (0.0, 3, 0.7, 1000, ""),  # too few images
        (0.1, 100, 0.12, 10, "at chance level"),
        (0.5, 200, 0.55, 2, "at chance level"),
        (0.62, 200, 0.7, 2, ""),
    ],
)
def test_a_float_network_that_is_poor_itself(
    top1: float, images: int, confidence: float, classes: int, said: str
) -> None:
    found = judged(Accuracy(images, top1, top1), confidence, classes)
    assert bool(found.problem) is bool(said)
    assert said in found.problem
    assert not said or "preprocessing or padding" in found.problem
