"""Augmentation: published definitions, exact where no chance is in them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageEnhance

from edgekit.preprocessing import Preprocessing
from edgekit.training.data.augmentation import Augmentation, seen_in_training
from edgekit.training.data.crops import PadCrop, ResizedCrop
from edgekit.training.data.randaugment import OPERATIONS, RandAugment

RNG = np.random.default_rng
PICTURE = Image.fromarray(RNG(0).integers(0, 256, (20, 30, 3), np.uint8))
SEEN = Preprocessing((16, 16), 18)
STILL = Augmentation(flip=0)


def training_pixels(
    image: Image.Image, preprocessing: Preprocessing, augmentation: Augmentation, rng: np.random.Generator
) -> np.ndarray:
    return seen_in_training(image, None, preprocessing, augmentation, rng)[0]


def seen(augmentation: Augmentation, seed: int = 0, preprocessing: Preprocessing = SEEN) -> np.ndarray:
    return training_pixels(PICTURE, preprocessing, augmentation, RNG(seed))


def test_without_any_an_image_is_what_validation_sees() -> None:
    np.testing.assert_array_equal(seen(STILL), SEEN.pixels(PICTURE))
    np.testing.assert_array_equal(seen(Augmentation(flip=1)), SEEN.pixels(PICTURE)[:, ::-1])


def test_a_padded_crop_is_a_window_of_the_image_in_black() -> None:
    wide = np.pad(SEEN.pixels(PICTURE), ((4, 4), (4, 4), (0, 0)))
    for seed in range(5):
        left, top = RNG(seed).integers(9, size=2)
        found = seen(Augmentation(PadCrop(4), flip=0), seed)
        np.testing.assert_array_equal(found, wide[top : top + 16, left : left + 16])


def test_resized_crops_have_areas_and_shapes_within_their_range() -> None:
    """As torchvision's RandomResizedCrop has it: area evenly spread, shape evenly on a logarithmic scale."""
    rng, crop, size = RNG(0), ResizedCrop((0.2, 0.5)), (400, 400)
    boxes = np.array([crop.box(size, rng) for _ in range(2000)])
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    area, aspect = width * height / 160_000, np.log(width / height) / np.log(4 / 3)
    assert boxes.min() >= 0
    assert boxes.max() <= 400
    np.testing.assert_allclose([area.min(), area.mean(), area.max()], [0.2, 0.35, 0.5], atol=0.01)
    np.testing.assert_allclose([aspect.min(), aspect.mean(), aspect.max()], [-1, 0, 1], atol=0.05)
    places = boxes[:, 0] / (400 - width)
    np.testing.assert_allclose([places.mean(), places.var()], [1 / 2, 1 / 12], atol=0.02)


@pytest.mark.parametrize(
    ("size", "box"), [((1000, 30), (480, 0, 520, 30)), ((30, 1000), (0, 480, 30, 520)), ((90, 100), (0, 0, 90, 100))]
)
def test_where_no_crop_fits_it_is_the_middle(size: tuple[int, int], box: tuple[int, int, int, int]) -> None:
    never = ResizedCrop((1.5, 1.6))  # torchvision's fallback: the largest rectangle of an allowed shape
    assert never.box(size, RNG(0)) == box


def test_a_resized_crop_is_cut_out_before_it_is_resized() -> None:
    crop = ResizedCrop()
    expected = PICTURE.crop(crop.box(PICTURE.size, RNG(3))).resize((16, 16), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(seen(Augmentation(crop, flip=0), 3), np.asarray(expected))


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_jpeg_is_cut_out_of_fewer_pixels_that_look_the_same(orientation: int) -> None:
    coarse = Image.fromarray(RNG(1).integers(0, 256, (3, 4, 3), np.uint8))
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[ExifTags.Base.Orientation] = orientation
    coarse.resize((400, 300), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=95, exif=exif)
    for seed in range(4):
        small, whole = (Image.open(io.BytesIO(buffer.getvalue())) for _ in range(2))
        whole.load()
        found, expected = (
            training_pixels(image, SEEN, Augmentation(ResizedCrop((0.5, 1))), RNG(seed)).astype(int)
            for image in (small, whole)
        )
        assert small.size in {(100, 75), (50, 38)}  # 200 pixels or more are cut out, and 32 serve
        assert np.abs(found - expected).mean() < 3  # the rectangle moves by half a pixel of the small image at most
        assert np.abs(found - expected[:, ::-1]).mean() > 20


def test_erasing_gives_a_rectangle_the_colour_that_becomes_zero() -> None:
    preprocessing = Preprocessing((16, 16), None, (0.25, 0.5, 1.0))
    white = Image.new("RGB", (16, 16), "white")
    shares = []
    for seed in range(300):
        found = training_pixels(white, preprocessing, Augmentation(flip=0, erasing=0.5), RNG(seed))
        erased = (found != 255).any(2)
        shares.append(erased.mean())
        rows, columns = erased.any(1), erased.any(0)
        np.testing.assert_array_equal(erased, rows[:, None] & columns)  # one rectangle
        assert not erased.any() or (found[erased] == (64, 128, 255)).all()
    share = np.array(shares)
    assert 0.4 < (share > 0).mean() < 0.6
    assert 0.01 < share[share > 0].min() < share.max() < 0.36  # 0.02 to 1 / 3, in whole pixels


def test_jitter_stays_within_its_strength() -> None:
    grey = Image.new("RGB", (4, 4), (100, 100, 100))
    levels = [
        training_pixels(grey, Preprocessing((4, 4), None), Augmentation(flip=0, jitter=0.4), RNG(seed)).mean()
        for seed in range(200)
    ]
    assert 60 <= min(levels) < 65  # contrast and saturation leave a single grey as it is
    assert 135 < max(levels) <= 140


@pytest.mark.parametrize("order", ["GREY", "RGB", "BGR", "RGBA", "BGRA"])
def test_every_order_of_channels_can_be_augmented(order: str) -> None:
    from edgekit.conventions import ORDERS

    mode, places = ORDERS[order]
    preprocessing = Preprocessing((16, 16), 18, (0.5,) * len(places), (0.5,) * len(places), order)
    everything = Augmentation(ResizedCrop(), 0.5, RandAugment(4), 0.4, 0.5)
    pixels = RNG(0).integers(0, 256, (20, 30, 4), np.uint8)
    for seed in range(8):
        image = Image.fromarray(pixels).convert(mode)
        found = training_pixels(image, preprocessing, everything, RNG(seed))
        assert found.shape == (16, 16, len(places))
        assert found.flags.writeable
    reordered = training_pixels(Image.fromarray(pixels), preprocessing, everything, RNG(1))
    usual = Preprocessing((16, 16), 18, (0.5,) * len(places), (0.5,) * len(places), order.replace("BGR", "RGB"))
    plain = training_pixels(Image.fromarray(pixels), usual, everything, RNG(1))
    np.testing.assert_array_equal(reordered, plain if order == usual.order else plain[..., list(places)])


# --- RandAugment


def test_operations_of_no_strength_leave_an_image_as_it_is() -> None:
    for name, operation in OPERATIONS.items():
        if name not in {"AutoContrast", "Equalize", "Solarize"}:
            np.testing.assert_array_equal(np.asarray(operation(PICTURE, 0, 1)), np.asarray(PICTURE), err_msg=name)
    levels = np.asarray(PICTURE)
    inverted = np.where(levels == 255, 0, levels)  # torchvision solarizes what is 255 or more, at a magnitude of 0
    np.testing.assert_array_equal(np.asarray(OPERATIONS["Solarize"](PICTURE, 0, 1)), inverted)


def test_operations_are_torchvisions() -> None:
    """At the largest magnitude, 30 of 30: its table of ranges, and what its affine transforms read."""
    levels = np.asarray(PICTURE)
    done = {name: np.asarray(operation(PICTURE, 1.0, 1)) for name, operation in OPERATIONS.items()}
    np.testing.assert_array_equal(done["Identity"], levels)
    moved = int(150 / 331 * 30)
    np.testing.assert_array_equal(done["TranslateX"][:, moved:], levels[:, :-moved])
    assert not done["TranslateX"][:, :moved].any()
    moved = int(150 / 331 * 20)
    np.testing.assert_array_equal(done["TranslateY"][moved:], levels[:-moved])
    rows = np.arange(20)
    for row in rows:  # pixel x reads x + 0.3 y, each at its middle
        reads = np.floor(np.arange(30) + 0.5 + 0.3 * (row + 0.5)).astype(int)
        expected = np.where(reads[:, None] < 30, levels[row, np.minimum(reads, 29)], 0)
        np.testing.assert_array_equal(done["ShearX"][row], expected)
    np.testing.assert_array_equal(done["Rotate"], np.asarray(PICTURE.rotate(30)))
    np.testing.assert_array_equal(done["Posterize"], levels & 0xF0)
    np.testing.assert_array_equal(done["Solarize"], 255 - levels)
    for name in ("Brightness", "Color", "Contrast", "Sharpness"):
        for sign, factor in ((1, 1.9), (-1, 0.1)):
            expected = np.asarray(getattr(ImageEnhance, name)(PICTURE).enhance(factor))
            found = np.asarray(OPERATIONS[name](PICTURE, 1.0, sign))
            assert np.abs(found.astype(int) - expected).max() <= 1  # 1 - 0.9 is not 0.1


def test_every_operation_is_drawn() -> None:
    rng, counts = RNG(0), dict.fromkeys(OPERATIONS, 0)
    patched = {
        name: (lambda image, _share, _sign, n=name: counts.update({n: counts[n] + 1}) or image) for name in counts
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgekit.training.data.randaugment.OPERATIONS", patched)
        for _ in range(700):
            RandAugment(2)(PICTURE, rng)
    assert sum(counts.values()) == 1400
    assert all(60 < number < 140 for number in counts.values())  # 100 expected, standard deviation 10
