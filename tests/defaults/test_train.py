"""The script that made the shipped files makes the same images again, and trains on what inference sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

import torch

from edgekit.calibration.images import open_images
from edgekit.defaults import FOLDER, train
from edgekit.models.families.mobilenet_v3_digits import mobilenet_v3_digits
from edgekit.models.network import build

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.preprocessing import Preprocessing


@pytest.fixture(scope="module")
def digits() -> train.Digits:
    return train.load_digits()


@pytest.fixture(scope="module")
def preprocessing() -> Preprocessing:
    return train.preprocessing_for(mobilenet_v3_digits())


def test_no_test_image_is_trained_on(digits: train.Digits) -> None:
    training, test = train.split(digits)
    trained_on = {image.tobytes() for image in training.images}
    tested_on = {image.tobytes() for image in test.images}
    assert (len(trained_on), len(tested_on)) == (1437, 360)
    assert not trained_on & tested_on


def test_the_split_does_not_depend_on_the_order_of_the_images(digits: train.Digits) -> None:
    backwards = digits[np.arange(len(digits.labels))[::-1]]
    for part, same in zip(train.split(digits), train.split(backwards), strict=True):
        np.testing.assert_array_equal(part.images, same.images)
        np.testing.assert_array_equal(part.labels, same.labels)


def test_the_shipped_archives_are_those_of_the_script(digits: train.Digits, tmp_path: Path) -> None:
    training, test = train.split(digits)
    for name, part in ((train.CALIBRATION, training[: train.CALIBRATION_IMAGES]), (train.TEST, test)):
        part.save(tmp_path / name)
        with np.load(FOLDER / name) as shipped, np.load(tmp_path / name) as made:
            assert sorted(shipped.files) == sorted(made.files)
            for key in made.files:
                np.testing.assert_array_equal(shipped[key], made[key])


def test_pixels_while_training_are_those_at_inference(digits: train.Digits, preprocessing: Preprocessing) -> None:
    _, test = train.split(digits)
    (batch,) = open_images(FOLDER / train.TEST, preprocessing).batches(len(test.labels))
    np.testing.assert_array_equal(train.network_pixels(test, preprocessing), batch.pixels)
    assert batch.labels == tuple(test.labels)


def test_augmented_images_differ_and_stay_images() -> None:
    torch.manual_seed(0)
    white_square = torch.zeros(8, 3, 32, 32)
    white_square[..., 12:20, 12:20] = 255
    augmented = train.augment(white_square)
    assert augmented.shape == white_square.shape
    assert augmented.min() >= 0
    assert augmented.max() <= 255
    assert augmented[..., 15:17, 15:17].mean() > 150  # the square is still about in the middle
    assert augmented[..., :4, :].mean() < 10
    assert not torch.equal(augmented[0], augmented[1])


def test_training_lowers_the_loss(
    digits: train.Digits, preprocessing: Preprocessing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "EPOCHS", 4)
    torch.manual_seed(0)
    few = digits[np.flatnonzero(digits.labels < 2)[:128]]
    pixels = train.network_pixels(few, preprocessing)
    module = build(mobilenet_v3_digits())
    losses = []

    def note(stage: str, done: int, total: int) -> None:
        losses.append(float(stage.removeprefix("training, loss ")))
        assert (done, total) == (len(losses), 4)

    train.train(module, pixels, few.labels, preprocessing, progress=note)
    assert losses[-1] < 0.8 * losses[0]
    assert not module.training
