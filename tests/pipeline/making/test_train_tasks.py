"""Training a detector and a segmenter: from pictures with boxes and masks to files that are proven."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from edgekit.config import Settings, TrainSettings
from edgekit.errors import ConfigError
from edgekit.models import checkpoint
from edgekit.models.task_architecture import TaskArchitecture
from edgekit.pipeline.making.export import export
from edgekit.pipeline.making.given import with_kept_images
from edgekit.pipeline.making.train import train
from edgekit.pipeline.proving.verify import verify
from edgekit.verification.gates import Level

if TYPE_CHECKING:
    from pathlib import Path

SIDE = 32
CLASSES = ("blue", "red")
QUICK = {"arch": "mobilenet_v1", "width": 0.25, "resolution": SIDE, "batch_size": 4, "epochs": 1, "crop": "none"}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Grey pictures of a blue or red rectangle, with its box in train.json and val.json, and its mask in masks/."""
    folder, random = tmp_path_factory.mktemp("scenes"), np.random.default_rng(0)
    for name in ("images", "masks"):
        (folder / name).mkdir()
    for part, count in (("train", 8), ("val", 2)):
        lists: dict[str, list[dict[str, Any]]] = {"images": [], "annotations": []}
        for number in range(count):
            pixels = random.integers(100, 140, (SIDE, SIDE, 3), np.uint8)
            mask = np.zeros((SIDE, SIDE), np.uint8)
            left, top, width, height = (int(value) for value in random.integers(4, 16, 4))
            category = number % 2
            pixels[top : top + height, left : left + width] = (220, 20, 20) if category else (20, 20, 220)
            mask[top : top + height, left : left + width] = 1 + category
            name = f"{part}{number}.png"
            Image.fromarray(pixels).save(folder / "images" / name)
            Image.fromarray(mask).save(folder / "masks" / name)
            lists["images"].append({"id": number, "file_name": name, "width": SIDE, "height": SIDE})
            box = [left, top, width, height]
            lists["annotations"].append({"id": number, "image_id": number, "category_id": category, "bbox": box})
        categories = [{"id": index, "name": name} for index, name in enumerate(CLASSES)]
        (folder / f"{part}.json").write_text(json.dumps({**lists, "categories": categories}))
        (folder / f"{part}.txt").write_text("".join(f"{image['file_name']}\n" for image in lists["images"]))
    (folder / "classes.txt").write_text("".join(f"{name}\n" for name in ("grey", *CLASSES)))
    return folder


def settings(data: Path, out: Path, **values: Any) -> Settings:
    return Settings(train=TrainSettings(**{"data": data, "out": out, **QUICK, **values}))


def proven(run: Path, data: Path) -> None:
    """Export a run to .tflite in int8, and verify it with the images of ``data``."""
    made = with_kept_images(replace(Settings(), model=replace(Settings().model, checkpoint=run)))
    out = run / "exported"
    made = replace(made, export=replace(made.export, precisions=("int8", "float32"), targets=("tflite",), out=out))
    exported = export(made)
    assert not [fact for fact in exported.facts if fact.is_assumed]
    verified = verify([out], replace(made, verify=replace(made.verify, data=data)))
    proofs = [gate for file in verified.files for gate in file.gates if gate.level in {Level.FLOAT, Level.INTEGER}]
    assert proofs
    assert all(gate.passed for gate in proofs)
    assert all(file.measured for file in verified.files)


@pytest.mark.parametrize(
    ("task", "head", "kind", "labels"),
    [("detection", "ssdlite", "ssd", CLASSES), ("segmentation", "deeplab", "deeplab", ("grey", *CLASSES))],
)
def test_a_task_is_trained_and_exported(
    scenes: Path, tmp_path: Path, task: str, head: str, kind: str, labels: tuple[str, ...]
) -> None:
    data = scenes / ("train.json" if task == "detection" else "train.txt")

    result = train(settings(data, tmp_path, task=task, head=head))

    loaded = checkpoint.load(result.checkpoint)
    assert isinstance(loaded.structure, TaskArchitecture)
    assert [head.kind for head in loaded.structure.heads] == [kind]
    assert loaded.recorded is not None
    assert loaded.recorded.labels == labels
    assert result.opened.validation == 2
    proven(tmp_path, data.with_name(data.name.replace("train", "val")))


def test_a_head_of_another_task_is_refused(scenes: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="detection has ssdlite or ssd"):
        train(settings(scenes / "train.json", tmp_path, task="detection", head="deeplab"))
    with pytest.raises(ConfigError, match="none to choose from"):
        train(settings(scenes, tmp_path, head="ssd"))


def test_a_detector_is_trained_on_with_other_classes(scenes: Path, tmp_path: Path) -> None:
    first = train(settings(scenes / "train.json", tmp_path / "a", task="detection", head="ssdlite", epochs=1))
    one_class = json.loads((scenes / "train.json").read_text())
    one_class["categories"] = [{"id": 0, "name": "thing"}]
    one_class["annotations"] = [{**annotation, "category_id": 0} for annotation in one_class["annotations"]]
    (scenes / "things.json").write_text(json.dumps(one_class))

    second = train(
        settings(
            scenes / "things.json",
            tmp_path / "b",
            task="detection",
            epochs=1,
            pretrained=first.checkpoint,
            arch=None,
            width=None,
            resolution=None,
        )
    )

    with pytest.raises(ConfigError, match="--head is ssd, and the pretrained network has ssdlite"):
        train(
            settings(
                scenes / "things.json",
                tmp_path / "c",
                task="detection",
                head="ssd",
                pretrained=first.checkpoint,
                arch=None,
                width=None,
                resolution=None,
            )
        )
    before, after = (checkpoint.load(one.checkpoint).structure for one in (first, second))
    assert isinstance(before, TaskArchitecture)
    assert isinstance(after, TaskArchitecture)
    assert after.heads[0].things == 1
    assert after.heads[0].to_dict()["priors"] == before.heads[0].to_dict()["priors"]


def test_several_tasks_learn_from_the_same_images(scenes: Path, tmp_path: Path) -> None:
    names = [image["file_name"] for image in json.loads((scenes / "train.json").read_text())["images"]]
    (scenes / "masks" / names[0]).rename(tmp_path / "mask.png")  # nothing is known of its pixels
    try:
        result = train(settings(scenes / "train.json", tmp_path / "run", task="several"))
    finally:
        (tmp_path / "mask.png").rename(scenes / "masks" / names[0])

    structure = checkpoint.load(result.checkpoint).structure
    assert isinstance(structure, TaskArchitecture)
    assert [(head.name, head.things) for head in structure.heads] == [("detection", 2), ("segmentation", 3)]
    measured = {one.metric.name: one.value for one in result.best.measured}
    assert {"detection_map50", "segmentation_miou"} <= measured.keys()
