"""Losses against their definitions, in float64."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch.nn import functional

from edgekit.config import TrainSettings
from edgekit.tasks.registry import kind
from edgekit.training.objectives import objective_of
from edgekit.training.recipe import resolve

if TYPE_CHECKING:
    from edgekit.training.objectives.objective import Objective

SMOOTH = replace(resolve(TrainSettings(), 224), smoothing=0.1)


def objective(name: str, things: int) -> Objective:
    return objective_of(kind(name).of({"logits": (things,)}, (), {}))


@pytest.mark.parametrize("task", ["classification", "regression", "tagging"])
def test_every_task_of_vectors_can_be_trained(task: str) -> None:
    targets = np.array([1, 0]) if task == "classification" else np.array([[0.0, 1.0], [1.0, 0.0]], np.float32)
    found = objective(task, 2)
    logits = torch.zeros(2, 2, requires_grad=True)
    found.loss({"logits": logits}, found.prepared(targets, "cpu"), SMOOTH).backward()  # type: ignore[no-untyped-call] # torch's
    assert logits.grad is not None
    assert logits.grad.abs().sum() > 0


def test_classes_are_smoothed_towards_all_of_them() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5]], dtype=torch.float64)
    found = objective("classification", 3)
    loss = found.loss({"": logits}, found.prepared(np.array([1]), "cpu").double(), SMOOTH)
    wanted = torch.tensor([0.1 / 3, 0.9 + 0.1 / 3, 0.1 / 3], dtype=torch.float64)
    assert loss.item() == pytest.approx(-(wanted * logits.log_softmax(1)[0]).sum().item())
    assert found.truth([np.array([2, 0]), np.array([1])]) == (2, 0, 1)


def test_exits_add_up() -> None:
    heads = [{"name": name, "temperature": 1.0, "confidence": None} for name in ("exit1", "classifier")]
    found = objective_of(kind("exits").of({"exit1": (3,), "classifier": (3,)}, (), {"heads": heads}))
    first, last, targets = torch.tensor([[2.0, -1.0, 0.5]]), torch.tensor([[0.0, 4.0, 1.0]]), np.array([1])
    alone = objective("classification", 3)
    each = [float(alone.loss({"": one}, alone.prepared(targets, "cpu"), SMOOTH)) for one in (first, last)]
    both = found.loss({"exit1": first, "classifier": last}, found.prepared(targets, "cpu"), SMOOTH)
    assert float(both) == pytest.approx(sum(each))


def test_classes_that_nobody_knows_count_nowhere() -> None:
    recipe, kind, indices = SMOOTH, objective("classification", 3), np.array([2, -1])
    logits = torch.tensor([[0.0, 1.0, 2.0], [9.0, 0.0, 0.0]])
    alone = kind.loss({"logits": logits[:1]}, kind.prepared(indices[:1], "cpu"), recipe)
    assert float(kind.loss({"logits": logits}, kind.prepared(indices, "cpu"), recipe)) == pytest.approx(float(alone))
    assert float(kind.loss({"logits": logits[1:]}, kind.prepared(indices[1:], "cpu"), recipe)) == 0
    assert kind.truth([indices]) == (2, None)


def test_tags_that_nobody_knows_count_nowhere() -> None:
    logits = torch.tensor([[1.0, 5.0], [-2.0, 0.3]], dtype=torch.float64)
    kind = objective("tagging", 2)
    targets = kind.prepared(np.array([[1.0, -1.0], [np.nan, 0.0]], np.float32), "cpu")
    found = kind.loss({"": logits}, targets.double(), replace(SMOOTH, smoothing=0.0))
    expected = (functional.softplus(torch.tensor(-1.0)) + functional.softplus(torch.tensor(0.3))) / 2
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    assert np.isnan(kind.truth([np.array([[1, -1]], np.float32)])).tolist() == [[False, True]]


def test_numbers_are_punished_by_their_square_near_and_by_their_size_far_away() -> None:
    kind = objective("regression", 1)
    targets = kind.prepared(np.array([0.0, 0.0, np.nan], np.float32), "cpu")
    loss = kind.loss({"": torch.tensor([[0.5], [3.0], [9.0]])}, targets, SMOOTH)
    assert loss.item() == pytest.approx((0.5 * 0.25 + (3 - 0.5)) / 2)
