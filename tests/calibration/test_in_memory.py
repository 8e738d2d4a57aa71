"""Images in memory: what shapes, types and containers mean."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

from edgekit.calibration.images import held_images, open_images
from edgekit.calibration.in_memory import MOST, as_pixels, take
from edgekit.errors import DataError
from edgekit.preprocessing import Preprocessing

if TYPE_CHECKING:
    from pathlib import Path

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (6, 8, 10, 3), np.uint8)  # NHWC
FIRST = PIXELS.transpose(0, 3, 1, 2)


@pytest.mark.parametrize(
    ("data", "layout"),
    [
        (PIXELS, None),
        (FIRST, None),
        (torch.from_numpy(FIRST), None),
        (list(PIXELS), None),
        ([FIRST[:2], FIRST[2:]], None),
        ([(image, 7) for image in FIRST], None),
        ([{"label": 7, "image": image} for image in PIXELS], None),
        ((batch for batch in (FIRST[:4], FIRST[4:])), None),
        ([Image.fromarray(image) for image in PIXELS], None),
        (torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.from_numpy(FIRST.copy())), 4), None),
        (PIXELS, "NHWC"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_images_in_any_container_are_the_same(data: Any, layout: str | None) -> None:
    taken = take(data, layout=layout)
    assert taken.inputs is None
    assert taken.shape == (3, 8, 10)
    np.testing.assert_array_equal(np.stack(taken.pixels), PIXELS)


@pytest.mark.parametrize(
    ("shape", "meant"),
    [
        ((5, 1, 8, 8), (1, 8, 8)),
        ((5, 8, 8), (1, 8, 8)),
        ((8, 8), (1, 8, 8)),
        ((4, 8, 9), (4, 8, 9)),
        ((8, 9, 4), (4, 8, 9)),
    ],
)
def test_axes_follow_from_the_shape(shape: tuple[int, ...], meant: tuple[int, int, int]) -> None:
    assert take(np.zeros(shape, np.uint8)).shape == meant


def test_a_layout_that_is_said_decides() -> None:
    assert take(np.zeros((2, 3, 5, 4), np.uint8), layout="NHWC").shape == (4, 3, 5)
    assert len(take(np.zeros((3, 8, 8), np.uint8), layout="NHW")) == 3


def test_labels_stand_beside_images() -> None:
    assert take([(FIRST[:2], torch.tensor([4, 5])), (FIRST[2:], np.arange(4))]).labels == (4, 5, 0, 1, 2, 3)
    assert take([(image, index) for index, image in enumerate(PIXELS)]).labels == tuple(range(6))
    assert take(PIXELS).labels is None
    wanted = tuple(range(6))
    for key in ("label", "labels", "target"):
        assert take([{"image": FIRST, key: torch.arange(6)}]).labels == wanted
    assert take({"image": PIXELS, "label": np.arange(6)}).labels == wanted
    assert take((PIXELS, np.arange(6))).labels == wanted


@pytest.mark.parametrize(
    ("beside", "said"),
    [
        (["cat"] * 6, "is text: give the places of these names"),
        (np.eye(6, dtype=int), r"int64 of shape \[6, 6\]: of one value a class, give labels.argmax"),
        (torch.arange(6).float(), r"float32 of shape \[6\]: give integers"),
        (np.arange(3), r"6 images is int64 of shape \[3\]: give as many"),
        ({"boxes": 1}, "is dict"),
    ],
)
def test_what_stands_beside_images_and_is_no_class_index_is_remembered(beside: Any, said: str) -> None:
    taken = take([(PIXELS, beside)])
    assert taken.labels is None
    assert re.search(said, taken.unread or "")
    some = take([(PIXELS[0], 1), PIXELS[1]])
    assert some.unread == "1 of 2 images have a class index beside them: give one to all, or to none"


def test_floats_are_a_networks_input() -> None:
    taken = take(torch.from_numpy(FIRST).bfloat16())
    assert not taken.pixels
    assert taken.inputs is not None
    assert taken.inputs.dtype == np.float32
    assert taken.inputs.shape == FIRST.shape


def test_many_are_not_all_taken() -> None:
    image = np.zeros((5, 5, 3), np.uint8)
    assert len(take(image for _ in range(MOST + 9))) == MOST
    assert len(take([image] * (MOST + 9))) == MOST
    assert len(take(np.zeros((MOST + 9, 5, 5, 3), np.uint8))) == MOST + 9
    numbered = [np.full((5, 5, 3), i, np.uint8) for i in range(10)]
    assert [int(taken[0, 0, 0]) for taken in take(numbered, limit=5).pixels] == [1, 3, 5, 7, 9]  # evenly spread


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (np.zeros((2, 3, 5, 4), np.uint8), "may be NCHW or NHWC.*layout='NCHW'"),
        (np.zeros((2, 7, 5, 6), np.uint8), "1, 3 or 4 channels"),
        (np.zeros((2, 3, 8, 8), np.int64), "int64: of pixels, 0 to 255, give images.astype"),
        ([(np.arange(6), PIXELS)], "int64 of shape .6. stands where an image is wanted, and looks like labels"),
        ([], "there is no image"),
        (np.zeros((0, 8, 8, 3), np.uint8), "there is no image"),
        (7, "images are int"),
        ([7], "an integer stands where an image is wanted"),
        ([PIXELS[0], PIXELS[0].astype(np.float32)], "some images are pixels"),
        ([np.zeros((8, 8, 3), np.float32), np.zeros((9, 8, 3), np.float32)], "all of one size"),
        (np.full((1, 8, 8, 3), np.nan, np.float32), "NaN"),
    ],
)
def test_what_is_no_image_is_refused(data: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        take(data)


def test_an_unknown_layout_is_refused() -> None:
    with pytest.raises(DataError, match="layout is 'CWH'"):
        take(PIXELS, layout="CWH")
    with pytest.raises(DataError, match="layout is CHW, and an array has the shape"):
        take(PIXELS, layout="CHW")


def test_pixels_come_back_out_of_a_networks_input() -> None:
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    inputs = Preprocessing((8, 10), None, mean, std).normalization(PIXELS)
    pixels, off = as_pixels(inputs, mean, std)
    assert off < 1e-3
    np.testing.assert_array_equal(np.rint(pixels), PIXELS)
    assert as_pixels(inputs, (0.5,) * 3, (0.5,) * 3)[1] > 0.4


def test_an_array_in_memory_is_what_its_file_is(tmp_path: Path) -> None:
    preprocessing = Preprocessing((8, 8), "whole")
    np.savez(tmp_path / "images.npz", images=PIXELS)
    of_file, held = open_images(tmp_path / "images.npz", preprocessing), held_images(PIXELS, "held", preprocessing)
    assert of_file.digest == held.digest
    np.testing.assert_array_equal(of_file.sample(6).pixels, held.sample(6).pixels)


def test_images_of_many_sizes_are_each_resized() -> None:
    images = [PIXELS[0], PIXELS[1][:5], PIXELS[2][:, :6]]
    found = held_images(images, "held", Preprocessing((4, 4), "whole"), labels=[3, 1, 2])
    batch = found.sample(3)
    assert batch.pixels.shape == (3, 4, 4, 3)
    assert batch.labels == (3, 1, 2)
    with_one = Preprocessing((4, 4), "whole").pixels(Image.fromarray(images[1]))
    np.testing.assert_array_equal(batch.pixels[1], with_one)
