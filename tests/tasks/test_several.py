"""Several tasks on one backbone, each of which says by itself what it measures."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from edgekit.annotations.boxes import Boxes
from edgekit.calibration.images import open_images
from edgekit.errors import ConfigError, DataError
from edgekit.models.priors import Level, Priors
from edgekit.preprocessing import Preprocessing
from edgekit.tasks.detection import Detection
from edgekit.tasks.scoring import metrics, score
from edgekit.tasks.several import Several
from edgekit.tasks.tagging import Tagging

if TYPE_CHECKING:
    from pathlib import Path

PRIORS = Priors((Level(1, 2, ((0.5, 1.0),)),))  # the left and the right half of an image
SIGNS = {"name": "signs", "task": "detection", "things": 1, "priors": PRIORS.to_dict()}
LIGHT = {"name": "light", "task": "tagging", "things": 2}
SHAPES = {"signs_boxes": (2, 4), "signs_scores": (2, 2), "light": (2,)}
LABELS = ("stop", "sun", "rain")
TASK = Several.of(SHAPES, LABELS, {"heads": [SIGNS, LIGHT]})
LEFT = (0.0, 0.0, 0.5, 1.0)
OUTPUTS = {
    "signs_boxes": np.zeros((3, 2, 4), np.float32),
    "signs_scores": np.array([[[0, 4], [4, 0]], [[0, 3], [3, 0]], [[5, 0], [0, 5]]], np.float32),
    "light": np.array([[2, -2], [-2, 2], [1, 1]], np.float32),
}
THERE = [Boxes.of([LEFT], [0]), None, Boxes.of([LEFT], [0])]
TAGS = np.array([[1, 0], [0, 1], [np.nan, np.nan]])


def test_heads_measure_what_they_know() -> None:
    found = {one.metric.name: one.value for one in TASK.measure(OUTPUTS, {"signs": THERE, "light": TAGS})}
    assert tuple(found) == tuple(one.name for one in TASK.metrics)
    alone = Detection.of({"boxes": (2, 4), "scores": (2, 2)}, ("stop",), SIGNS)
    known = {"boxes": OUTPUTS["signs_boxes"][::2], "scores": OUTPUTS["signs_scores"][::2]}
    assert found["signs_map50"] == alone.measure(known, [one for one in THERE if one is not None])[0].value
    assert (found["light_f1"], found["light_map"]) == (100, 100)
    assert TASK.metrics[1].title == "mAP at IoU 0.5 of signs"
    assert found["mean"] == (found["signs_map50"] + 100) / 2
    assert TASK.by_class(OUTPUTS, {"signs": THERE, "light": TAGS}) == {
        "signs: stop": pytest.approx(found["signs_map50"])
    }
    only = TASK.measure(OUTPUTS, {"light": TAGS})
    assert {one.metric.name for one in only} == {"mean", "light_f1", "light_f1_of_tags", "light_map"}
    assert only[0].value == 100


def test_a_head_of_numbers_counts_by_the_variance_that_it_explains() -> None:
    pose = {"name": "pose", "task": "regression", "things": 1}
    task = Several.of({"light": (2,), "pose": (1,)}, (*LABELS[1:], "tilt"), {"heads": [LIGHT, pose]})
    right, there = np.array([[0.0], [1.0], [2.0]]), {"light": TAGS, "pose": np.array([[0.0], [1.0], [2.0]])}
    outputs = {"light": OUTPUTS["light"], "pose": right.astype(np.float32)}
    assert task.measure(outputs, there)[0].value == 100
    assert task.measure(outputs | {"pose": 5 - outputs["pose"]}, there)[0].value == 50  # worse than their mean


def test_a_drop_and_the_agreement_are_those_of_the_worst_head() -> None:
    tags, targets = Tagging.of({"light": (2,)}, (), {}), {"signs": THERE, "light": TAGS}
    worse = OUTPUTS | {"light": np.array([[2, -2], [2, -2], [1, 1]], np.float32)}
    lost = TASK.drop(worse, OUTPUTS, targets)
    assert lost.value == tags.drop({"light": worse["light"][:2]}, {"light": OUTPUTS["light"][:2]}, TAGS[:2]).value > 0
    assert TASK.agreement(worse, OUTPUTS).value == tags.agreement(worse, OUTPUTS).value < 100
    assert [one.metric.name for one in score(TASK, worse, OUTPUTS, targets)] == [one.name for one in metrics(TASK)]


def test_answers_name_the_heads() -> None:
    first, second, _ = TASK.decode(OUTPUTS)
    assert first.text == "signs: 1 stop; light: sun"
    assert second.lines == ("signs: stop 95.26 % (0 to 50 % across, 0 to 100 % down)", "light: rain 88.08 %")
    right = TASK.stated({"signs": THERE, "light": TAGS})
    assert [tuple(one.answers) for one in right] == [("signs", "light"), ("light",), ("signs",)]
    assert [one.contradicts(other) for one, other in zip(TASK.decode(OUTPUTS), right, strict=True)] == [
        False,
        False,
        True,
    ]


def test_differences_are_those_of_each_head_by_turns() -> None:
    other = {name: values[::-1] for name, values in OUTPUTS.items()}
    found = TASK.differences(OUTPUTS, other, ["a", "b", "c"])
    assert found.sentence.startswith("signs: int8 finds 33.33 % of float's boxes again")
    assert [pair.expected.split(":")[0] for pair in found.disagreements[:3]] == ["signs", "light", "signs"]


def test_a_network_is_as_plausible_as_its_worst_head() -> None:
    many = {name: np.repeat(values[:1], 20, 0) for name, values in OUTPUTS.items()}
    targets = {"signs": [Boxes.of([(0.4, 0, 0.6, 1)], [0])] * 20}
    assert not TASK.trusts(many, targets)
    assert TASK.plausible(many, targets).name == "the float network's own boxes (signs)"
    fine = TASK.plausible(many, {"signs": THERE[:1] * 20})
    assert (fine.problem, fine.measured) == ("", "signs: 100 % of 20 boxes right")


def test_each_head_needs_its_outputs() -> None:
    with pytest.raises(ConfigError, match=r"the task is detection, which reads boxes \[2, 4\]"):
        Several.of({"light": (2,)}, LABELS, {"heads": [SIGNS, LIGHT]})


def test_the_class_of_an_image_stands_in_a_table(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for number in range(3):
        Image.new("RGB", (8, 8)).save(tmp_path / "images" / f"{number}.png")
    listed = [{"id": i, "file_name": f"{i}.png", "width": 8, "height": 8} for i in range(3)]
    about = {"images": listed, "annotations": [], "categories": [{"id": 1, "name": "stop"}]}
    (tmp_path / "test.json").write_text(json.dumps(about))
    task = Several.of(SHAPES, LABELS, {"heads": [SIGNS, LIGHT | {"task": "classification"}]})
    images = open_images(tmp_path / "test.json", Preprocessing((8, 8), "whole"))
    table = tmp_path / "targets.csv"
    table.write_text("file,sky\n0.png,rain\n2.png,sun")
    found = task.targets(images, OUTPUTS).targets
    assert found is not None
    assert found["light"] == (1, None, 0)
    measured = {one.metric.name: one.value for one in task.measure(OUTPUTS, {"light": found["light"]})}
    assert measured["light_top1"] == 50  # of the two that are known: the first is taken for sun
    table.write_text("file,sky\n0.png,snow")
    with pytest.raises(DataError, match="says 'snow' in sky, and the network knows sun, rain"):
        task.targets(images, OUTPUTS)
