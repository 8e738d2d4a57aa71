"""A network that answers with boxes, from its files to the pictures that people see."""

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
from edgekit.models import checkpoint
from edgekit.models.building import built
from edgekit.models.families.mobilenet_v1 import mobilenet_v1
from edgekit.models.heads.making import network_for
from edgekit.models.recorded import Recorded
from edgekit.pipeline.making.export import export
from edgekit.pipeline.proving.predicting import predict
from edgekit.pipeline.proving.verify import verify
from edgekit.preprocessing import Preprocessing
from edgekit.reports.values import as_json

if TYPE_CHECKING:
    from pathlib import Path

SIZE, LABELS = (32, 32), ("cat", "dog")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector that nobody trained, its float file, and images of 60 x 40 with one box each."""
    made = tmp_path_factory.mktemp("detector")
    torch.manual_seed(0)
    architecture = network_for(mobilenet_v1(0.25, resolution=SIZE), "ssdlite", len(LABELS))
    module = built(architecture).eval()
    for name, values in module.state_dict().items():
        if name.endswith("scores.bias"):
            values.normal_(0, 3)  # so that it is sure of something
    recorded = Recorded(Preprocessing(SIZE, "whole"), "detection", LABELS)
    checkpoint.save(made / "net.safetensors", module, architecture, recorded)
    (made / "images").mkdir()
    random = np.random.default_rng(0)
    for index in range(3):
        Image.fromarray(random.integers(0, 256, (40, 60, 3), np.uint8)).save(made / "images" / f"{index}.png")
    images = [{"id": i, "file_name": f"{i}.png", "width": 60, "height": 40} for i in range(3)]
    boxes = [{"id": i + 1, "image_id": i, "category_id": 1, "bbox": [20, 10, 20, 20], "iscrowd": 0} for i in range(3)]
    about = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "dog"}]}
    (made / "test.json").write_text(json.dumps(about))
    wanted = {"targets": ["onnx"], "precisions": ["float32"], "out": made / "out"}
    export(config.load(None, {"model": {"checkpoint": made / "net.safetensors"}, "export": wanted}))
    return made


def test_its_boxes_are_measured(folder: Path) -> None:
    flags = {"verify": {"data": folder / "test.json"}, "model": {"checkpoint": folder / "net.safetensors"}}
    result = verify([folder / "out"], config.load(None, flags))
    assert result.task == "detection"
    (file,) = result.files
    found = {one.metric.name: one.value for one in file.measured}
    assert set(found) == {"map50", "map", "drop", "agreement", "sqnr_db"}
    assert found["agreement"] == 100
    assert [(one.name, one.value) for one in result.facts if one.name in {"task", "labels"}] == [
        ("task", "detection"),
        ("labels", "boxes"),
    ]


def test_its_boxes_are_drawn_where_they_are_in_the_image(folder: Path, tmp_path: Path) -> None:
    (path,) = (folder / "out").glob("*.onnx")
    found = predict(path, [folder / "images", folder / "images" / "0.png"], draw=tmp_path)
    assert [one.name for one in found.drawings] == ["0.png", "1.png", "2.png", "0.2.png"]
    pictures = [np.asarray(Image.open(io.BytesIO(drawing.read_bytes()))) for drawing in found.drawings]
    assert [picture.shape for picture in pictures] == [(320, 480, 3)] * 4
    (image, *_) = json.loads(as_json("predict", found))["images"]
    assert image["answer"]["seen"][0].keys() >= {"index", "label", "score", "box"}
    one = edgekit.load(path).predict(folder / "images" / "0.png")
    np.testing.assert_array_equal(np.asarray(one.draw()), pictures[0])
