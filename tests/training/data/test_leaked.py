"""Test images that training has seen, where images are unlike each other, and where all are alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("torch")

from edgekit.training.data.likeness import leaked

if TYPE_CHECKING:
    from numpy.typing import NDArray

RANDOM = np.random.default_rng(0)
OURS = RANDOM.integers(0, 256, (400, 8, 9), np.uint8)
THEIRS = RANDOM.integers(0, 256, (200, 8, 9), np.uint8)


def brighter(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return (images // 2 + 90).astype(np.uint8)


def test_images_that_are_unlike_each_other() -> None:
    assert leaked(OURS, THEIRS) == []
    assert leaked(OURS, np.concatenate([OURS[:5], THEIRS])) == [(i, i) for i in range(5)]
    assert leaked(OURS, np.concatenate([brighter(OURS[:30]), THEIRS])) == [(i, i) for i in range(30)]
    assert leaked(OURS, np.concatenate([brighter(OURS[:5]), THEIRS])) == [], "CIFAR-10 has as many"


def test_images_that_are_alike_are_no_duplicates() -> None:
    kinds = RANDOM.integers(0, 256, (10, 8, 9)).astype(np.int64)
    images = np.concatenate([kinds] * 60) + RANDOM.integers(-4, 5, (600, 8, 9))
    alike = RANDOM.permutation(np.clip(images, 0, 255).astype(np.uint8))
    assert leaked(alike[:400], alike[400:]) == []
