"""Batches: what they hold follows from seed, epoch and index alone, and what goes wrong is named."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from edgekit.annotations.boxes import Boxes
from edgekit.annotations.moving import UNKNOWN
from edgekit.annotations.targets import BoxTargets, MaskTargets
from edgekit.errors import DataError
from edgekit.preprocessing import Preprocessing
from edgekit.training.data.augmentation import Augmentation, seen_in_training, shifted
from edgekit.training.data.crops import IoUCrop, PadCrop, ResizedCrop, ScaledCrop
from edgekit.training.data.examples import Examples, array_examples, file_examples
from edgekit.training.data.loader import Batch, Loader
from edgekit.training.data.randaugment import RandAugment
from edgekit.training.data.several import Part, SeveralTargets

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

PIXELS = np.random.default_rng(0).integers(0, 256, (11, 8, 8, 3), np.uint8)
TARGETS = np.arange(11) % 3
SMALL = Preprocessing((8, 8), None)
SHIFTING = Augmentation(PadCrop(2), flip=0.5)
CROPPING = Augmentation(ResizedCrop(), flip=0.5, jitter=0.4, erasing=0.5)


def in_memory() -> Examples:
    return array_examples([f"{i}" for i in range(11)], TARGETS, PIXELS)


def in_files(folder: Path) -> Examples:
    paths = [folder / f"{i}.png" for i in range(11)]
    for path, pixels in zip(paths, PIXELS, strict=True):
        Image.fromarray(pixels).save(path)
    return file_examples([path.name for path in paths], TARGETS, paths)


def said(batches: Iterable[Batch]) -> list[tuple[bytes, bytes, bytes]]:
    return [(batch.pixels.tobytes(), batch.targets.tobytes(), batch.indices.tobytes()) for batch in batches]


@pytest.mark.parametrize("augmentation", [None, SHIFTING, CROPPING])
@pytest.mark.parametrize("kind", ["array", "files"])
def test_an_epoch_is_the_same_however_it_is_made(tmp_path: Path, kind: str, augmentation: Augmentation | None) -> None:
    examples = in_memory() if kind == "array" else in_files(tmp_path)
    expected = said(Loader(examples, 4, SMALL, augmentation, seed=3, workers=1).epoch(5))
    assert [len(i) // 8 for _, _, i in expected] == [4, 4, 3]
    many = Loader(examples, 4, SMALL, augmentation, seed=3, workers=4)
    assert said(many.epoch(5)) == expected
    assert said(many.epoch(5, start=1)) == expected[1:]
    assert said(many.epoch(5, start=3)) == []
    assert said(many.epoch(6)) != expected
    assert said(Loader(examples, 4, SMALL, augmentation, seed=4).epoch(5)) != expected


def test_an_image_does_not_depend_on_its_batch() -> None:
    """Batches of another size have another order, and the same images."""
    by_index = [
        {int(i): p.tobytes() for batch in loader.epoch(2) for i, p in zip(batch.indices, batch.pixels, strict=True)}
        for loader in (Loader(in_memory(), size, SMALL, how) for size, how in ((4, SHIFTING), (7, SHIFTING)))
    ]
    assert by_index[0] == by_index[1]
    assert len(by_index[0]) == 11


def test_without_augmentation_and_shuffling_images_are_what_verification_sees(tmp_path: Path) -> None:
    preprocessing = Preprocessing((6, 4), "whole", order="BGR")
    for examples in (in_memory(), in_files(tmp_path)):
        (batch,) = Loader(examples, 16, preprocessing, shuffle=False).epoch(0)
        expected = [preprocessing.pixels(Image.fromarray(pixels)) for pixels in PIXELS]
        np.testing.assert_array_equal(batch.pixels, np.stack(expected))
        np.testing.assert_array_equal(batch.targets, TARGETS)
        np.testing.assert_array_equal(batch.indices, np.arange(11))


def test_what_validation_sees_is_decoded_once_where_it_fits_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loader = Loader(in_files(tmp_path), 4, SMALL, shuffle=False)
    first = said(loader.epoch(0))
    for path in tmp_path.iterdir():
        path.unlink()
    assert said(loader.epoch(1)) == first
    monkeypatch.setattr("edgekit.training.data.loader.HELD_BYTES", 11 * 8 * 8 * 3 - 1)
    loader = Loader(in_files(tmp_path), 4, SMALL)
    list(loader.epoch(0))
    assert not loader._kept


@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_whole_batches_are_shifted_as_single_images_are(order: str) -> None:
    preprocessing = Preprocessing((8, 8), 8, order=order)
    for image in PIXELS:
        rng = np.random.default_rng(1)
        expected, _ = seen_in_training(Image.fromarray(image), None, preprocessing, SHIFTING, np.random.default_rng(1))
        offsets, flip = rng.integers(5, size=2), rng.random() < 0.5
        found = shifted(image[None], 2, offsets[None], np.array([flip]))[0]
        np.testing.assert_array_equal(preprocessing.in_order(found), expected)


def test_shifts_are_all_there_and_equally_frequent() -> None:
    pixels = np.zeros((3000, 3, 3, 1), np.uint8)
    pixels[:, 1, 1] = 255
    examples = array_examples(["x"] * 3000, np.zeros(3000, np.int64), pixels)
    (batch,) = Loader(
        examples, 3000, Preprocessing((3, 3), None, (0.5,), (0.5,), "GREY"), Augmentation(PadCrop(1))
    ).epoch(0)
    share = (batch.pixels[..., 0] > 0).mean(0)
    np.testing.assert_allclose(share, np.full((3, 3), 1 / 9), atol=0.02)  # 5 standard deviations are 0.029


def test_a_last_batch_with_fewer_images_can_be_left_out() -> None:
    assert [len(Loader(in_memory(), size, SMALL, drop_last=True)) for size in (4, 11, 20)] == [2, 1, 1]
    assert [len(batch.targets) for batch in Loader(in_memory(), 4, SMALL, drop_last=True).epoch(0)] == [4, 4]


def test_what_cannot_be_read_is_named_and_no_thread_is_left(tmp_path: Path) -> None:
    examples = in_files(tmp_path)
    (tmp_path / "7.png").write_bytes((tmp_path / "7.png").read_bytes()[:60])
    with pytest.raises(DataError, match=r"7\.png cannot be used: "):
        list(Loader(examples, 4, SMALL).epoch(0))
    batches = Loader(in_memory(), 2, SMALL, CROPPING).epoch(0)
    next(batches)
    assert any(thread.name.startswith("edgekit-images") for thread in threading.enumerate())
    batches.close()
    assert not any(thread.name.startswith("edgekit-images") for thread in threading.enumerate())


# --- boxes and masks


def painted(folder: Path) -> tuple[Examples, Examples]:
    """Images that hold their masks as levels, and boxes around what is marked in them."""
    rng, boxes = np.random.default_rng(0), []
    for index in range(7):
        levels = np.full((20, 30 + index), 3, np.uint8)
        left, top, width, height = rng.integers(1, 10, 4)
        levels[top : top + height, left : left + width] = 200
        Image.fromarray(np.dstack([levels] * 3)).save(folder / f"{index}.png")
        shares = np.array([left, top, left + width, top + height]) / [30 + index, 20, 30 + index, 20]
        boxes.append(Boxes.of([shares.tolist()], [index]))
    paths = [folder / f"{index}.png" for index in range(7)]
    masks = MaskTargets.of([partial(_levels, path) for path in paths])
    names = [path.name for path in paths]
    return file_examples(names, BoxTargets(boxes), paths), file_examples(names, masks, paths)


def _levels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))[..., 0].copy()


NEAREST = Preprocessing((12, 16), "whole", (10 / 255,) * 3, interpolation="nearest")
MOVING = [
    None,
    Augmentation(),
    Augmentation(PadCrop(3)),
    Augmentation(ResizedCrop()),
    Augmentation(IoUCrop()),
    Augmentation(ScaledCrop((8, 10))),
]


@pytest.mark.parametrize("augmentation", MOVING)
def test_boxes_and_masks_go_where_their_pixels_go(tmp_path: Path, augmentation: Augmentation | None) -> None:
    with_boxes, with_masks = painted(tmp_path)
    size = (8, 10) if augmentation and isinstance(augmentation.crop, ScaledCrop) else (12, 16)
    for epoch in range(4):
        (batch,) = Loader(with_masks, 7, NEAREST, augmentation, seed=1).epoch(epoch)
        assert batch.pixels.shape == (7, *size, 3)
        for pixels, mask in zip(batch.pixels, batch.targets, strict=True):
            outside = mask == UNKNOWN  # a padded crop is black there, any other has the mean colour
            np.testing.assert_array_equal(pixels[~outside, 0], mask[~outside])
            assert set(np.unique(pixels[outside])) <= {0, 10}
        (batch,) = Loader(with_boxes, 7, NEAREST, augmentation, seed=1).epoch(epoch)
        for index, pixels, boxes in zip(batch.indices, batch.pixels, batch.targets, strict=True):
            rows, columns = np.nonzero(pixels[..., 0] == 200)
            for box, of in zip(boxes.corners, boxes.classes, strict=True):
                assert of == index
                left, top, right, bottom = box * [size[1], size[0], size[1], size[0]]
                assert not len(rows) or (columns + 0.5 >= left - 1e-6).all()
                assert not len(rows) or (columns + 0.5 <= right + 1e-6).all()
                assert not len(rows) or ((rows + 0.5 >= top - 1e-6) & (rows + 0.5 <= bottom + 1e-6)).all()


def test_targets_of_several_tasks_come_by_their_names(tmp_path: Path) -> None:
    with_boxes, with_masks = painted(tmp_path)
    numbers = np.arange(14, dtype=np.float32).reshape(7, 2)
    parts = [("detection", with_boxes.targets), ("segmentation", with_masks.targets), ("regression", numbers)]
    together = with_boxes.labelled(SeveralTargets([Part(task, (), targets) for task, targets in parts]))
    augmentation = Augmentation(IoUCrop(), 0.5, RandAugment())
    (batch,) = Loader(together, 7, NEAREST, augmentation).epoch(0)
    (boxes,) = Loader(with_boxes, 7, NEAREST, augmentation).epoch(0)
    np.testing.assert_array_equal(batch.pixels, boxes.pixels)
    assert BoxTargets(batch.targets["detection"]).digest == BoxTargets(boxes.targets).digest
    np.testing.assert_array_equal(batch.targets["regression"], numbers[batch.indices])
    (plain,) = Loader(together, 7, NEAREST, shuffle=False).epoch(0)
    for mask, pixels in zip(plain.targets["segmentation"], plain.pixels, strict=True):
        np.testing.assert_array_equal(mask, pixels[..., 0])


def test_boxes_of_an_epoch_are_the_same_however_it_is_made(tmp_path: Path) -> None:
    def all_of(loader: Loader) -> list[bytes]:
        return [
            batch.pixels.tobytes() + BoxTargets(batch.targets).digest + batch.indices.tobytes()
            for batch in loader.epoch(2)
        ]

    examples, _ = painted(tmp_path)
    everything = Augmentation(IoUCrop(), 0.5, RandAugment(), 0.4, 0.5)
    first = all_of(Loader(examples, 3, NEAREST, everything, workers=1))
    assert all_of(Loader(examples, 3, NEAREST, everything, workers=4)) == first
    assert all_of(Loader(examples, 3, NEAREST, everything, seed=1)) != first


def test_what_validation_sees_keeps_its_boxes(tmp_path: Path) -> None:
    examples, _ = painted(tmp_path)
    loader = Loader(examples, 4, NEAREST, shuffle=False)
    boxes = [box for _ in range(2) for batch in loader.epoch(0) for box in batch.targets]
    for index in range(7):
        assert boxes[index] is boxes[index + 7]
        np.testing.assert_allclose(boxes[index].corners, examples.targets[index].corners)  # "whole" keeps shares
