"""Mixup and CutMix against their papers' formulas, and timm's pairing."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edgekit.training.data.mixing import mix  # noqa: E402 - behind the skip

IMAGES = torch.arange(6.0).reshape(6, 1, 1, 1).expand(6, 3, 10, 20)
TARGETS = torch.eye(6)


def test_mixup_adds_an_image_and_its_counterpart_up() -> None:
    stays = np.random.default_rng(5).beta(0.8, 0.8)
    images, targets = mix(IMAGES, TARGETS, 0.8, 0, np.random.default_rng(5))
    torch.testing.assert_close(images, stays * IMAGES + (1 - stays) * IMAGES.flip(0))
    torch.testing.assert_close(targets, stays * TARGETS + (1 - stays) * TARGETS.flip(0))
    assert IMAGES[1, 0, 0, 0] == 1


def test_cutmix_puts_one_rectangle_of_the_counterpart_into_each() -> None:
    shares = []
    for seed in range(60):
        images, targets = mix(IMAGES, TARGETS, 0, 1.0, np.random.default_rng(seed))
        rest = 1 - np.random.default_rng(seed).beta(1.0, 1.0)
        other = (images == IMAGES.flip(0)).numpy()
        assert ((images == IMAGES).numpy() | other).all()
        patch = other[0, 0]
        rows, columns = patch.any(1), patch.any(0)
        np.testing.assert_array_equal(patch, rows[:, None] & columns)
        assert (other == patch).all()
        assert rows.sum() <= 10 * np.sqrt(rest) + 1e-9  # as high and wide as the paper's, or cut off at the border
        assert columns.sum() <= 20 * np.sqrt(rest) + 1e-9
        torch.testing.assert_close(
            targets, TARGETS * (1 - patch.mean()) + TARGETS.flip(0) * patch.mean(), check_dtype=False
        )
        shares.append(patch.mean())
    assert max(shares) > 0.5
    assert min(shares) < 0.02


def test_of_both_each_is_taken_half_of_the_time() -> None:
    first = [mix(IMAGES, TARGETS, 1.0, 1.0, np.random.default_rng(seed))[0][0] for seed in range(200)]
    flat = sum(bool((image == image[0, 0, 0]).all()) for image in first)
    assert 70 < flat < 140  # mixup, or a rectangle of nothing


def test_the_same_state_mixes_the_same_and_none_mixes_nothing() -> None:
    first, again = (mix(IMAGES, TARGETS, 0.2, 1.0, np.random.default_rng(1)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert mix(IMAGES, TARGETS, 0, 0, np.random.default_rng(1))[0] is IMAGES
