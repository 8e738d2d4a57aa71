from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from edgekit.training.distillation import Distillation, Teacher


def teacher(logits: torch.Tensor, size: tuple[int, int] = (4, 4)) -> Teacher:
    return Teacher(lambda _: logits, size, (0.0,), (1.0,))


RANDOM = torch.Generator().manual_seed(0)
STUDENT, FIRST, SECOND = (torch.randn(5, 4, generator=RANDOM, dtype=torch.float64) for _ in range(3))
PIXELS, CLASSES = torch.zeros(5, 1, 4, 4), torch.tensor([0, 1, 2, 3, 1])
TARGETS = functional.one_hot(CLASSES, 4).double()
OWN = functional.cross_entropy(STUDENT, TARGETS)


def test_distillation_is_the_papers_sum() -> None:
    found = Distillation([teacher(FIRST)], "kd", 4.0, 0.7).loss(PIXELS, {"logits": STUDENT}, TARGETS, OWN)
    p, q = (FIRST / 4).softmax(1), (STUDENT / 4).softmax(1)
    divergence = (p * (p / q).log()).sum(1).mean()
    assert found.item() == pytest.approx((0.3 * OWN + 0.7 * 16 * divergence).item(), rel=1e-6)


def test_an_ensemble_teaches_its_mean_probabilities() -> None:
    found = Distillation([teacher(FIRST), teacher(SECOND)], "kd", 2.0, 1.0).loss(PIXELS, {"": STUDENT}, TARGETS, OWN)
    p, q = ((FIRST / 2).softmax(1) + (SECOND / 2).softmax(1)) / 2, (STUDENT / 2).softmax(1)
    assert found.item() == pytest.approx((4 * (p * (p / q).log()).sum(1).mean()).item(), rel=1e-6)


def test_decoupled_distillation_is_equation_7() -> None:
    found = Distillation([teacher(FIRST)], "dkd", 4.0).loss(PIXELS, {"": STUDENT}, TARGETS, OWN)
    of_target, of_others = [], []
    for row in range(5):
        p, q = ((logits[row] / 4).softmax(0) for logits in (FIRST, STUDENT))
        t = CLASSES[row]
        b, c = (torch.stack([x[t], 1 - x[t]]) for x in (p, q))
        of_target.append((b * (b / c).log()).sum())
        rest = [i for i in range(4) if i != t]
        p, q = p[rest] / p[rest].sum(), q[rest] / q[rest].sum()
        of_others.append((p * (p / q).log()).sum())
    expected = OWN + 16 * (torch.stack(of_target).mean() + 8 * torch.stack(of_others).mean())
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_teacher_sees_images_of_its_own_size_and_normalization() -> None:
    seen: list[torch.Tensor] = []

    def outputs(images: torch.Tensor) -> torch.Tensor:
        seen.append(images)
        return images.flatten(1)

    Teacher(outputs, (2, 3), (10.0,), (5.0,)).logits(torch.full((1, 1, 8, 8), 20.0))
    assert torch.allclose(seen[0], torch.full((1, 1, 2, 3), 2.0))
