"""What edgekit ships is complete, small, honest about its test images, and as good as its README says."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgekit import config
from edgekit.calibration.images import open_images
from edgekit.defaults import CONFIG, FOLDER

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.calibration.images import PixelBatch
    from edgekit.models.checkpoint import Checkpoint
    from edgekit.preprocessing import Preprocessing

FILES = ("README.md", "calibration.npz", "digits_v3.safetensors", "edgekit.toml", "labels.txt", "test.npz")


def arrays(path: Path | None) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    assert path is not None
    with np.load(path, allow_pickle=False) as archive:
        return archive["images"], archive["labels"]


def contents(images: NDArray[np.uint8]) -> set[bytes]:
    return {image.tobytes() for image in images}


@pytest.fixture(scope="module")
def settings() -> config.Settings:
    return config.load(CONFIG)


@pytest.fixture(scope="module")
def network(settings: config.Settings) -> Checkpoint:
    pytest.importorskip("torch")
    pytest.importorskip("safetensors")
    from edgekit.models import checkpoint

    assert settings.model.checkpoint is not None
    return checkpoint.load(settings.model.checkpoint)


@pytest.fixture(scope="module")
def preprocessing(network: Checkpoint) -> Preprocessing:
    from edgekit.defaults.train import preprocessing_for

    return preprocessing_for(network.architecture)


@pytest.fixture(scope="module")
def test_images(settings: config.Settings, preprocessing: Preprocessing) -> PixelBatch:
    assert settings.verify.data is not None
    (batch,) = open_images(settings.verify.data, preprocessing).batches(360)
    return batch


@pytest.fixture(scope="module")
def float_top1(network: Checkpoint, preprocessing: Preprocessing, test_images: PixelBatch) -> NDArray[np.int64]:
    import torch

    with torch.inference_mode():
        logits = network.module(torch.from_numpy(preprocessing.normalization(test_images.pixels)))
    top1: NDArray[np.int64] = logits.numpy().argmax(axis=1)
    return top1


def stated_correct() -> int:
    """How many test images are right, as README.md says."""
    found = re.search(r"\*\*(\d+) of 360\*\*", (FOLDER / "README.md").read_text(encoding="utf-8"))
    assert found is not None
    return int(found[1])


@pytest.mark.parametrize("name", FILES)
def test_the_file_is_there(name: str) -> None:
    assert (FOLDER / name).is_file()


def test_everything_together_is_small() -> None:
    assert sum((FOLDER / name).stat().st_size for name in FILES) < 1_200_000


def test_every_path_of_the_config_is_a_file_of_this_folder(settings: config.Settings) -> None:
    paths = settings.model.checkpoint, settings.model.labels, settings.calibration.data, settings.verify.data
    assert [path.parent == FOLDER and path.name in FILES for path in paths if path is not None] == [True] * 4


def test_finding_the_config_imports_no_toolchain() -> None:
    code = "import sys, edgekit.defaults; print({'torch', 'numpy', 'sklearn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"


def test_both_archives_hold_grey_images_with_all_digits(settings: config.Settings) -> None:
    for path, per_digit in ((settings.calibration.data, {12, 13}), (settings.verify.data, {36})):
        images, labels = arrays(path)
        assert images.dtype == np.uint8
        assert images.shape[1:] == (8, 8)
        assert (images.min(), images.max()) == (0, 255)
        assert len(images) == len(labels)
        assert set(np.bincount(labels, minlength=10).tolist()) == per_digit


def test_no_image_is_in_both_archives(settings: config.Settings) -> None:
    calibration, _ = arrays(settings.calibration.data)
    test, _ = arrays(settings.verify.data)
    assert len(contents(calibration)) == 128
    assert len(contents(test)) == 360
    assert not contents(calibration) & contents(test)


def test_labels_are_the_digits(settings: config.Settings) -> None:
    assert settings.model.labels is not None
    assert settings.model.labels.read_text(encoding="utf-8").split() == list("0123456789")


def test_the_checkpoint_says_what_it_is(network: Checkpoint) -> None:
    from edgekit.models.families.mobilenet_v3_digits import mobilenet_v3_digits

    assert network.architecture == mobilenet_v3_digits()
    assert network.notes == ()


def test_float_is_as_good_as_stated(test_images: PixelBatch, float_top1: NDArray[np.int64]) -> None:
    correct = int((float_top1 == np.array(test_images.labels)).sum())
    assert correct == stated_correct()
    assert correct >= 0.985 * 360


def test_int8_agrees_with_float_on_every_test_image(
    settings: config.Settings, preprocessing: Preprocessing, test_images: PixelBatch, float_top1: NDArray[np.int64]
) -> None:
    from edgekit.calibration.assignment import quantize
    from edgekit.calibration.recipe import calibrate
    from edgekit.pipeline.making.source import open_source
    from edgekit.reference.integer import Reference

    source = open_source(settings)
    assert source.integer_form.preprocessing == preprocessing
    assert settings.calibration.data is not None
    images = open_images(settings.calibration.data, preprocessing)
    model = quantize(source.integer_form, calibrate(source.integer_form, images).found["ranges"])
    stored = (test_images.pixels.astype(np.int16) - 128).astype(np.int8).transpose(0, 3, 1, 2)
    logits = np.concatenate(
        [Reference(model).run(np.ascontiguousarray(part))["logits"] for part in np.split(stored, 6)]
    )
    assert (logits.argmax(axis=1) == float_top1).all()
