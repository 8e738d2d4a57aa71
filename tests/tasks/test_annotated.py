"""Boxes and masks beside images, as verification reads them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from edgekit.calibration.images import open_images
from edgekit.errors import DataError
from edgekit.facts import Basis
from edgekit.models.priors import Level, Priors
from edgekit.preprocessing import Preprocessing
from edgekit.tasks.detection import Detection
from edgekit.tasks.segmentation import Segmentation

if TYPE_CHECKING:
    from pathlib import Path

SEEN = Preprocessing((40, 40), 40)  # the middle of images that are wider than high
PRIORS = {"priors": Priors((Level(1, 1, ((0.5, 0.5),)),)).to_dict()}
SHAPES: dict[str, tuple[int, ...]] = {"boxes": (1, 4), "scores": (1, 3)}


def task(*labels: str) -> Detection:
    return Detection.of(SHAPES, labels, PRIORS)


@pytest.fixture
def boxes(tmp_path: Path) -> Path:
    """An image of 80 x 40 with a dog in the middle and a cat on the left, which the network does not see."""
    (tmp_path / "images").mkdir()
    Image.new("RGB", (80, 40)).save(tmp_path / "images" / "a.png")
    about: dict[str, Any] = {
        "images": [{"id": 1, "file_name": "a.png", "width": 80, "height": 40}],
        "categories": [{"id": 5, "name": "dog"}, {"id": 9, "name": "cat"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 5, "bbox": [30, 10, 20, 20], "area": 400, "iscrowd": 0},
            {"id": 2, "image_id": 1, "category_id": 9, "bbox": [0, 10, 10, 20], "area": 200, "iscrowd": 0},
        ],
    }
    path = tmp_path / "test.json"
    path.write_text(json.dumps(about))
    return path


def test_boxes_are_those_that_the_network_sees_of_its_own_classes(boxes: Path) -> None:
    images = open_images(boxes, SEEN)
    network = task("cat", "dog")
    network.check(images)
    found = network.targets(images, {})
    assert found.targets is not None
    assert found.fact is not None
    assert (found.fact.value, found.fact.basis) == ("boxes", Basis.GIVEN)
    (only,) = found.targets
    assert (only.corners.tolist(), only.classes.tolist()) == ([[0.25, 0.25, 0.75, 0.75]], [1])
    (unnamed,) = task().targets(images, {}).targets or ()
    assert unnamed.classes.tolist() == [0]


def test_classes_that_the_network_has_not_are_refused(boxes: Path) -> None:
    with pytest.raises(DataError, match=r"'dog' is a class beside the images of .*, and none of the network's"):
        task("cat", "doe").check(open_images(boxes, SEEN))
    one = Detection.of(SHAPES | {"scores": (1, 2)}, (), PRIORS)
    with pytest.raises(DataError, match=r"2 classes are named beside the images of .*, and the network has 1"):
        one.check(open_images(boxes, SEEN))


def test_images_without_boxes_are_not_measured(tmp_path: Path) -> None:
    Image.new("RGB", (80, 40)).save(tmp_path / "a.png")
    found = task("cat", "dog").targets(open_images(tmp_path, SEEN), {})
    assert found.targets is None
    assert found.fact is not None
    assert found.fact.because == "no boxes lie beside the images, so mAP is not measured"


def test_what_lies_there_instead_is_said(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (80, 40)).save(tmp_path / name / "a.png")
    found = task("cat", "dog").targets(open_images(tmp_path, SEEN), {})
    assert found.fact is not None
    assert "has a folder for each class (cat, dog), and no boxes, so mAP is not measured" in found.fact.because


def test_a_folder_of_cocos_file_and_images_is_one_place(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (80, 40)).save(tmp_path / "images/a.png")
    lists = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "categories": [{"id": 1, "name": "dog"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [20, 10, 40, 20]}],
    }
    (tmp_path / "all.json").write_text(json.dumps(lists))
    images = open_images(tmp_path, SEEN)
    (only,) = task("cat", "dog").targets(images, {}).targets or ()
    assert (images.names, only.classes.tolist()) == (("images/a.png",), [1])


def test_numbers_without_names_are_refused(tmp_path: Path) -> None:
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    Image.new("RGB", (80, 40)).save(tmp_path / "images/a.png")
    (tmp_path / "labels/a.txt").write_text("1 0.5 0.5 0.25 0.25")
    with pytest.raises(DataError, match=r"are numbers, and nothing names them: .*classes\.txt.*are cat, dog"):
        task("cat", "dog").check(open_images(tmp_path, SEEN))


def test_masks_are_moved_as_their_images(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    Image.new("RGB", (80, 40)).save(tmp_path / "images" / "a.png")
    mask = np.zeros((40, 80), np.uint8)
    mask[:, 40:] = 1
    Image.fromarray(mask).save(tmp_path / "masks" / "a.png")
    (tmp_path / "classes.txt").write_text("sky\nroad")
    network = Segmentation.of({"mask": (3, 5, 5)}, ("road", "car", "sky"), {"size": [40, 40]})
    images = open_images(tmp_path / "images", SEEN)
    network.check(images)
    (found,) = network.targets(images, {}).targets or ()
    assert found.shape == (40, 40)
    assert found[0].tolist() == [2] * 20 + [0] * 20
