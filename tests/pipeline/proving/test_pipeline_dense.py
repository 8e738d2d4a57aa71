"""A network with heads of several tasks, from its files to the pictures that people see."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from PIL import Image

import edgekit
from edgekit import config
from edgekit.errors import ArtifactError
from edgekit.models import checkpoint
from edgekit.models.building import built
from edgekit.models.families.mobilenet_v1 import mobilenet_v1
from edgekit.models.heads.making import lraspp, ssd, vector
from edgekit.models.recorded import Recorded
from edgekit.models.task_architecture import TaskArchitecture
from edgekit.pipeline.making.export import export
from edgekit.pipeline.proving.predicting import predict
from edgekit.pipeline.proving.verify import verify
from edgekit.preprocessing import Preprocessing
from edgekit.reports.pages.verify import document
from edgekit.reports.values import as_json

if TYPE_CHECKING:
    from pathlib import Path

SIZE, LABELS = (32, 32), ("cat", "dog", "sky", "road", "day", "night")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that nobody trained, its float file, and images of 60 x 40 with a box and a mask each."""
    made = tmp_path_factory.mktemp("several")
    torch.manual_seed(0)
    backbone = mobilenet_v1(0.25, resolution=SIZE)
    heads = ssd(backbone, 2, separable=True), lraspp(backbone, 2), vector(backbone, "classification", 2, name="light")
    architecture = TaskArchitecture(backbone, heads)
    module = built(architecture).eval()
    for name, values in module.state_dict().items():
        if name.endswith("scores.bias"):
            values.normal_(0, 3)  # so that it is sure of something
    recorded = Recorded(Preprocessing(SIZE, "whole"), "several", LABELS)
    checkpoint.save(made / "net.safetensors", module, architecture, recorded)
    for place in ("images", "masks"):
        (made / place).mkdir()
    random = np.random.default_rng(0)
    for index in range(3):
        Image.fromarray(random.integers(0, 256, (40, 60, 3), np.uint8)).save(made / "images" / f"{index}.png")
        Image.fromarray(random.integers(0, 2, (40, 60), np.uint8)).save(made / "masks" / f"{index}.png")
    (made / "classes.txt").write_text("road\nsky")
    images = [{"id": i, "file_name": f"{i}.png", "width": 60, "height": 40} for i in range(3)]
    boxes = [{"id": i + 1, "image_id": i, "category_id": 1, "bbox": [20, 10, 20, 20], "iscrowd": 0} for i in range(3)]
    about = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "dog"}]}
    (made / "test.json").write_text(json.dumps(about))
    wanted = {"targets": ["onnx"], "precisions": ["float32"], "out": made / "out"}
    export(config.load(None, {"model": {"checkpoint": made / "net.safetensors"}, "export": wanted}))
    return made


def test_each_head_is_measured_by_what_lies_beside_the_images(folder: Path) -> None:
    flags = {"verify": {"data": folder / "test.json"}, "model": {"checkpoint": folder / "net.safetensors"}}
    result = verify([folder / "out"], config.load(None, flags))
    assert result.task == "several"
    (file,) = result.files
    found = {one.metric.name: one.value for one in file.measured}
    assert set(found) == {
        "detection_map50",
        "detection_map",
        "segmentation_miou",
        "segmentation_pixels",
        "mean",
        "drop",
        "agreement",
        "sqnr_db",
    }
    assert found["agreement"] == 100
    assert file.by_class.keys() >= {"segmentation: sky", "segmentation: road"}
    assert "nothing is for light, so no accuracy of that is measured; it takes labels.csv" in result.unmeasured[0]
    assert "Class by class" in document.render(result)
    wanted = {"verify": {"data": folder / "test.json", "limits.segmentation_miou": 99}}
    failed = {
        gate.name
        for one in verify([folder / "out"], config.load(None, wanted)).files
        for gate in one.gates
        if not gate.passed
    }
    assert failed == {"mIoU of segmentation"}


def test_its_answers_are_drawn_where_they_are_in_the_image(folder: Path, tmp_path: Path) -> None:
    (path,) = (folder / "out").glob("*.onnx")
    found = predict(path, [folder / "images", folder / "images" / "0.png"], draw=tmp_path)
    assert [one.name for one in found.drawings] == ["0.png", "1.png", "2.png", "0.2.png"]
    pictures = [np.asarray(Image.open(io.BytesIO(drawing.read_bytes()))) for drawing in found.drawings]
    assert len(pictures) == 4
    assert all(picture.shape[0] > 320 and picture.shape[1:] == (480, 3) for picture in pictures), "with legends"
    (image, *_) = json.loads(as_json("predict", found))["images"]
    answers = image["answer"]["answers"]
    assert answers["detection"]["seen"][0].keys() >= {"index", "label", "score", "box"}
    assert answers["segmentation"]["covered"][0].keys() >= {"index", "label", "share"}
    assert "mask" not in answers["segmentation"], "a picture is no JSON"
    one = edgekit.load(path).predict(folder / "images" / "0.png")
    np.testing.assert_array_equal(np.asarray(one.draw()), pictures[0])
    seen, covered = one["detection"], one["segmentation"]
    assert [*zip(seen.classes, seen.labels, seen.scores.round(6), strict=True)] == [
        (thing["index"], thing["label"], np.float32(thing["score"]).round(6)) for thing in answers["detection"]["seen"]
    ]
    np.testing.assert_allclose(seen.boxes, [thing["box"] for thing in answers["detection"]["seen"]], atol=1e-6)
    assert [*seen.outputs] == ["boxes", "scores"]
    assert covered.mask.shape == SIZE
    assert one["light"].top[0].label in {"day", "night"}
    with pytest.raises(ArtifactError, match=r"no classifier: look at answer"):
        seen.logits  # noqa: B018 - a property
    with pytest.raises(ArtifactError, match=r"several heads, detection, segmentation, light: ask for one, prediction"):
        one.boxes  # noqa: B018 - likewise
