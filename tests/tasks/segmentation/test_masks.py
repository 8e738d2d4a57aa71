"""From logits to masks against torch, and how masks agree in cases that can be counted."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.tasks.segmentation.masks import confusion, logits_of, mask_of, mean_overlap, overlaps


@pytest.mark.parametrize(("old", "new"), [((3, 4), (24, 32)), ((5, 4), (17, 30)), ((8, 8), (8, 8)), ((9, 7), (4, 3))])
def test_masks_are_torchs(old: tuple[int, int], new: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch")
    logits = np.random.default_rng(0).normal(0, 2, (5, *old)).astype(np.float32)
    resized = torch.nn.functional.interpolate(torch.from_numpy(logits)[None], new, mode="bilinear", align_corners=False)
    np.testing.assert_array_equal(mask_of(logits, new), resized[0].argmax(0))
    np.testing.assert_allclose(logits_of(logits[None], new), resized, atol=2e-6)


def test_of_equal_logits_the_first_class_counts() -> None:
    assert mask_of(np.array([[[0.0]], [[1.0]], [[1.0]]]), (2, 2)).tolist() == [[1, 1], [1, 1]]


def test_overlaps_are_counted_over_all_images() -> None:
    right = np.array([[[0, 0], [1, 1]], [[0, 255], [0, 0]]], np.uint8)
    said = np.array([[[0, 1], [1, 1]], [[0, 2], [0, 1]]], np.uint8)
    confusions = np.stack([confusion(*pair, 4) for pair in zip(right, said, strict=True)])
    assert confusions.sum() == 7
    (found,) = overlaps(confusions)
    np.testing.assert_allclose(found, [3 / 5, 2 / 4, np.nan, np.nan])  # what stands for 255 counts nowhere
    assert mean_overlap(found[None])[0] == pytest.approx((3 / 5 + 2 / 4) / 2)
    np.testing.assert_allclose(
        overlaps(confusions, np.array([[2, 0], [0, 1]])), [[1 / 2, 2 / 3, np.nan, np.nan], [2 / 3, 0, np.nan, np.nan]]
    )
