"""Cross-entropy of pixels, against the same written pixel by pixel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from edgekit.config import TrainSettings
from edgekit.training.objectives.segmentation import Segmentation
from edgekit.training.recipe import resolve

PLAIN = replace(resolve(TrainSettings(), 224), smoothing=0.0)
OBJECTIVE = Segmentation("mask")


def test_loss_is_the_mean_over_pixels_that_are_known() -> None:
    logits = torch.randn(1, 3, 2, 2, dtype=torch.float64)
    mask = np.array([[0, 2], [255, 1]], np.uint8)

    found = OBJECTIVE.loss({"mask": logits}, OBJECTIVE.prepared([mask], "cpu"), PLAIN)

    sure = logits[0].log_softmax(0)
    assert found.item() == pytest.approx(-(sure[0, 0, 0] + sure[2, 0, 1] + sure[1, 1, 1]).item() / 3)


def test_logits_are_resized_to_the_mask() -> None:
    logits = torch.zeros(1, 2, 1, 1)
    logits[0, 1] = 4.0
    loss = OBJECTIVE.loss({"mask": logits}, OBJECTIVE.prepared([np.ones((5, 7), np.uint8)], "cpu"), PLAIN)
    assert loss.item() == pytest.approx(np.log1p(np.exp(-4)), rel=1e-5)


def test_nothing_known_gives_no_nan() -> None:
    mask = np.full((2, 2), 255, np.uint8)
    assert OBJECTIVE.loss({"mask": torch.randn(1, 2, 2, 2)}, OBJECTIVE.prepared([mask], "cpu"), PLAIN).item() == 0
