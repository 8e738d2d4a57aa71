"""What training sees of images with boxes and masks: published definitions, against distributions made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from edgekit.annotations.boxes import Boxes, overlap
from edgekit.preprocessing import Preprocessing
from edgekit.training.data.augmentation import Augmentation, seen_in_training
from edgekit.training.data.crops import IoUCrop, ScaledCrop
from edgekit.training.data.randaugment import RandAugment

RNG = np.random.default_rng
SIZE = (200, 100)
SEEN = Preprocessing((30, 30), "whole", (0.25, 0.5, 1.0))
CORNERS = np.array([[20.0, 20, 60, 60], [150, 50, 190, 90]])


def by_torchvision(corners: np.ndarray, least: float, rng: np.random.Generator) -> list[int] | None:
    """RandomIoUCrop.make_params of torchvision 0.28, for one overlap, line by line; None where 40 tries fail."""
    for _ in range(40):
        r = 0.3 + (1.0 - 0.3) * rng.random(2)
        new_w, new_h = int(SIZE[0] * r[0]), int(SIZE[1] * r[1])
        if not 0.5 <= new_w / new_h <= 2.0:
            continue
        r = rng.random(2)
        left, top = int((SIZE[0] - new_w) * r[0]), int((SIZE[1] - new_h) * r[1])
        right, bottom = left + new_w, top + new_h
        cx, cy = (corners[:, 0] + corners[:, 2]) / 2, (corners[:, 1] + corners[:, 3]) / 2
        within = (left < cx) & (cx < right) & (top < cy) & (cy < bottom)
        if not within.any():
            continue
        if overlap(corners[within], np.array([[left, top, right, bottom]], float)).max() < least:
            continue
        return [left, top, right, bottom]
    return None


@pytest.mark.parametrize(("least", "draws"), [(0.0, 600), (0.3, 120)])
def test_crops_are_drawn_as_torchvision_draws_them(least: float, draws: int) -> None:
    """The means of their sides agree within four standard deviations of the difference."""
    crop, rng, other = IoUCrop(overlaps=(least,)), RNG(0), RNG(1)
    ours = np.array([crop.view(SIZE, CORNERS, rng) for _ in range(draws)])
    theirs = np.array([box for _ in range(draws) if (box := by_torchvision(CORNERS, least, other)) is not None])
    deviation = np.sqrt(ours.var(0) / len(ours) + theirs.var(0) / len(theirs))
    assert (np.abs(ours.mean(0) - theirs.mean(0)) < 4 * deviation).all()
    assert (np.abs(ours.std(0) - theirs.std(0)) < 4 * deviation).all()


def test_crops_hold_a_middle_and_overlap_its_box() -> None:
    crop, rng = IoUCrop(overlaps=(0.5,), scale=(0.1, 1)), RNG(0)
    middles = (CORNERS[:, :2] + CORNERS[:, 2:]) / 2
    for _ in range(300):
        view = np.array(crop.view(SIZE, CORNERS, rng))
        assert (view[:2] >= 0).all()
        assert (view[2:] <= SIZE).all()
        width, height = view[2:] - view[:2]
        assert 0.5 <= width / height <= 2
        held = ((middles > view[:2]) & (middles < view[2:])).all(1)
        assert (overlap(CORNERS, view[None].astype(float))[:, 0] * held).max() >= 0.5


def test_without_objects_or_by_the_last_overlap_all_is_seen() -> None:
    assert IoUCrop().view(SIZE, np.zeros((0, 4)), RNG(0)) == (0, 0, 200, 100)
    assert IoUCrop(overlaps=(1.0,)).view(SIZE, CORNERS, RNG(0)) == (0, 0, 200, 100)
    never = IoUCrop(overlaps=(0.99,))  # no crop is as small as this box
    assert never.view(SIZE, np.array([[0.0, 0, 1, 1]]), RNG(0)) == (0, 0, 200, 100)
    crowd = Boxes(CORNERS / [200, 100, 200, 100], np.zeros(2, np.int64), np.ones(2, np.bool_))
    (geometry,) = IoUCrop(zoom_out=0).drawn(SIZE, crowd, SEEN, RNG(0))
    assert geometry.cut == (0, 0, 200, 100)


def test_a_canvas_is_up_to_four_times_as_large_and_has_the_mean_colour() -> None:
    """RandomZoomOut: the factor is evenly spread, and so is the place."""
    image, everywhere = Image.new("RGB", SIZE, (9, 9, 9)), Boxes.of([[0, 0, 1, 1]], [0])
    augmentation, shares, places = Augmentation(IoUCrop(1.0, overlaps=(1.0,)), flip=0), [], []
    for seed in range(300):
        pixels, boxes = seen_in_training(image, everywhere, SEEN, augmentation, RNG(seed))
        assert isinstance(boxes, Boxes)
        ((left, top, right, bottom),) = boxes.corners
        shares.append(1 / (right - left))
        places.append([left / (1 - right + left), top / (1 - bottom + top)] if right - left < 0.9 else [0.5, 0.5])
        is_image = (pixels == 9).all(2)
        assert (pixels[~is_image] == [64, 128, 255]).all()
        rows, columns = np.nonzero(is_image)
        found = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) / 30
        np.testing.assert_allclose(found, boxes.corners[0], atol=1e-9)
    np.testing.assert_allclose([np.mean(shares), np.std(shares)], [2.5, 3 / np.sqrt(12)], atol=0.2)
    np.testing.assert_allclose(np.mean(places, 0), [0.5, 0.5], atol=0.08)


@pytest.mark.parametrize("size", [None, (10, 20)])
def test_scaled_crops_show_the_image_at_its_scale(size: tuple[int, int] | None) -> None:
    crop, seen = ScaledCrop(size, (0.5, 2.0)), Preprocessing((25, 50), "whole")
    height, width = size or (25, 50)
    scales, inside = [], 0
    for seed in range(300):
        (geometry,) = crop.drawn(SIZE, None, seen, RNG(seed))
        assert geometry.size == (width, height)
        cut, resized = geometry.cut, geometry.resized
        across, down = resized[0] / (cut[2] - cut[0]), resized[1] / (cut[3] - cut[1])
        assert across / down == pytest.approx(1, abs=0.12)  # whole pixels
        scales.append(across * 200 / 50)
        inside += geometry.window == (0, 0, width, height)
    assert (min(scales), max(scales)) == pytest.approx((0.5, 2.0), abs=0.06)
    assert np.mean(scales) == pytest.approx(1.25, abs=0.08)
    assert inside == pytest.approx(300 if size else 300 * (2.0 - 1.0) / 1.5, abs=0 if size else 40)


def test_what_boxes_do_not_follow_is_not_done_to_their_images(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[str, bool] = {}
    operations = {
        name: lambda image, _share, _sign, n=name: drawn.setdefault(n, True) and image
        for name in ("ShearX", "Rotate", "TranslateY", "Equalize", "Color")
    }
    monkeypatch.setattr("edgekit.training.data.randaugment.OPERATIONS", operations)
    image, augmentation = Image.new("RGB", SIZE), Augmentation(randaugment=RandAugment(20))
    seen_in_training(image, Boxes.of([], []), SEEN, augmentation, RNG(0))
    assert set(drawn) == {"Equalize", "Color"}
    seen_in_training(image, None, SEEN, augmentation, RNG(0))
    assert set(drawn) == set(operations)


def test_what_is_erased_is_not_known_in_a_mask() -> None:
    mask, image = np.zeros((100, 200), np.uint8), Image.new("RGB", SIZE, "white")
    pixels, found = seen_in_training(image, mask, SEEN, Augmentation(erasing=1), RNG(0))
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found == 255, (pixels != 255).any(2))
    assert (found == 255).any()
    assert not mask.any()
