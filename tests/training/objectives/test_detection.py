"""The loss of SSD against the same equations written plainly, in float64."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from edgekit.annotations.boxes import Boxes
from edgekit.config import TrainSettings
from edgekit.models.priors import Level, Priors
from edgekit.training.objectives.detection import Detection
from edgekit.training.recipe import resolve

PLAIN = replace(resolve(TrainSettings(), 224), smoothing=0.0)
PRIORS = Priors((Level(2, 2, ((0.5, 0.5),)), Level(1, 1, ((1.0, 1.0),))))
OBJECTIVE = Detection("boxes", "scores", PRIORS.boxes)


def test_codings_and_classes_of_matched_priors() -> None:
    matched = OBJECTIVE.prepared([Boxes.of([[0, 0, 0.4, 0.5]], [2]), Boxes.of([], [])], "cpu")

    assert matched.classes.tolist() == [[3, 0, 0, 0, 0], [0] * 5]
    # The centre is moved by -0.05 of 0.5, over 0.1; the width has grown by log(0.8), over 0.2.
    assert matched.codings[0, 0].tolist() == pytest.approx([-1.0, 0.0, float(np.log(0.8)) / 0.2, 0.0], abs=1e-6)


def test_loss_takes_the_hardest_three_priors_without_an_object() -> None:
    generator = torch.Generator().manual_seed(0)
    boxes = torch.randn(1, 5, 4, generator=generator, dtype=torch.float64)
    scores = torch.randn(1, 5, 4, generator=generator, dtype=torch.float64)
    matched = OBJECTIVE.prepared([Boxes.of([[0, 0, 0.4, 0.5]], [2])], "cpu")

    found = OBJECTIVE.loss({"boxes": boxes, "scores": scores}, matched, PLAIN)

    each = -scores[0].log_softmax(1)[range(5), matched.classes[0]]
    hard = each[1:].sort(descending=True).values[:3]
    apart = (boxes[0, 0] - matched.codings[0, 0]).abs()
    of_boxes = torch.where(apart < 1, apart**2 / 2, apart - 0.5).sum()
    assert found.item() == pytest.approx((each[0] + hard.sum() + of_boxes).item(), rel=1e-6)


def test_images_without_objects_give_no_loss_and_no_nan() -> None:
    scores = torch.randn(1, 5, 4, requires_grad=True)
    loss = OBJECTIVE.loss(
        {"boxes": torch.randn(1, 5, 4), "scores": scores}, OBJECTIVE.prepared([Boxes.of([], [])], "cpu"), PLAIN
    )
    assert loss.item() == 0.0


def test_a_crowd_is_no_negative() -> None:
    matched = OBJECTIVE.prepared([Boxes.of([[0, 0, 0.4, 0.5], [0.5, 0, 1, 0.5]], [0, 0], [False, True])], "cpu")
    assert matched.classes.tolist() == [[1, -1, 0, 0, 0]]
    sure = functional.one_hot(torch.zeros(1, 5, dtype=torch.long), 4) * 30.0
    sure[0, 0] = torch.tensor([0, 30.0, 0, 0])
    sure[0, 1] = torch.tensor([0, 0, 0, 30.0])  # what is said of the crowd does not count
    loss = OBJECTIVE.loss({"boxes": matched.codings, "scores": sure}, matched, PLAIN)
    assert loss.item() == pytest.approx(0, abs=1e-6)
