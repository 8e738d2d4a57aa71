"""Suppression behind a network, in every format that has an operator for it: what edgekit's own rule leaves."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.errors import ConfigError
from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import Precision
from edgekit.float_model import FloatModel
from edgekit.preprocessing import Preprocessing
from edgekit.reference.float import FloatReference
from edgekit.runtimes.catalog import all_runners
from edgekit.runtimes.litert import LiteRtRunner
from edgekit.runtimes.tracing import TracingRunner
from edgekit.suppression import SUPPRESSION, Ending, Suppression, ended
from edgekit.verification.detection_parity import compare_detections
from edgekit.verification.well_formed import well_formed
from tests.tasks.detection.test_in_graph import NUMBERS, SHAPE, detector, numbers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgekit.exporters.format import Format

ENDING = Ending("corners", "probabilities", "", Suppression(0.3, 0.4, 20))


@pytest.fixture(params=["onnx", "tflite"])  # Core ML's model is none of edgekit's operators: test_coreml_endings.py
def form(request: pytest.FixtureRequest) -> Format:
    found = FORMATS[request.param]
    for module in found.modules:
        pytest.importorskip(module)
    return found


def model(ending: Ending = ENDING) -> FloatModel:
    preprocessing = Preprocessing(SHAPE[1:], None, (0.0,) * NUMBERS, (1.0,) * NUMBERS)
    return FloatModel(detector(), preprocessing, (), {SUPPRESSION: [ending.to_dict()]})


def images() -> np.ndarray:
    """Of boxes with a size, and of few different scores."""
    found, *_ = numbers()
    return np.concatenate([found[1:, :4].clip(-2, 2), found[1:, 4:].round()], 1)


def found_in(form: Format, made: FloatModel, folder: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """What a file leaves, and what edgekit leaves of the very boxes and scores in it."""
    path = folder / f"detector{form.suffix}"
    form.write_float_model(made, path, precision=Precision.FLOAT32)
    assert not well_formed(path, made)
    with all_runners(path)[0]() as runner:
        assert isinstance(runner, TracingRunner)
        inside = runner.trace(images())
        own = {name: inside[name] for name in (ENDING.boxes, ENDING.scores)}
        return runner.run(images()), ended(own, made.provenance)


def wanted(made: FloatModel) -> dict[str, np.ndarray]:
    return ended(FloatReference(made.graph).run(images()), made.provenance)


@pytest.mark.parametrize(
    "rule", [ENDING.rule, Suppression(0.6, 0.2, 5), Suppression(0.0, 1.0, 100), Suppression(0.9999, 0.5, 1)]
)
def test_it_leaves_what_edgekit_leaves(rule: Suppression, form: Format, tmp_path: Path) -> None:
    ending = replace(ENDING, rule=rule)
    made = model(ending)
    found, expected = found_in(form, made, tmp_path)
    assert {name: array.shape for name, array in found.items()} == {n: array.shape for n, array in expected.items()}
    parity = compare_detections(form.name, found, expected, ending)
    assert parity.passed, parity
    assert parity.images == len(images())
    assert parity.max_abs_error < 1e-6
    assert compare_detections(form.name, found, wanted(made), ending).passed
    if form.name == "onnx":  # the order of equal scores, too, and every bit
        for name in ending.names:
            np.testing.assert_array_equal(found[name], expected[name])


@pytest.mark.parametrize("threads", [1, 2])
def test_what_several_operators_leave_becomes_one(
    threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kernels with n threads leave the class n out, so there is an operator for every two classes; here for each."""
    endings = importlib.import_module("edgekit.exporters.tflite.endings")
    monkeypatch.setattr(endings, "_CLASSES", 1)
    path = tmp_path / "detector.tflite"
    for rule in (ENDING.rule, Suppression(0.6, 0.2, 5), Suppression(0.02, 1.0, 100)):
        ending = replace(ENDING, rule=rule)
        made = model(ending)
        FORMATS["tflite"].write_float_model(made, path, precision=Precision.FLOAT32)
        assert not well_formed(path, made)
        found = LiteRtRunner(path, threads=threads).run(images())
        assert compare_detections("tflite", found, wanted(made), ending).passed
        for image, number in enumerate(found["num_detections"].astype(int)):
            assert not any(found[name][image, number:].any() for name in ending.names[:3])


def test_boxes_without_an_area_stay(form: Format, tmp_path: Path) -> None:
    """Whatever lies beyond the image is cut to nothing, and overlaps nothing."""
    made, path = model(), tmp_path / f"detector{form.suffix}"
    beyond = np.zeros((1, *images().shape[1:]), np.float32)
    beyond[:, 0], beyond[:, 5] = 1000, 3  # to the right; surely of the first class
    form.write_float_model(made, path, precision=Precision.FLOAT32)
    with all_runners(path)[0]() as runner:
        found = runner.run(beyond)
    expected = ended(FloatReference(made.graph).run(beyond), made.provenance)
    assert expected["detection_boxes"][0, :, [1, 3]].tolist() == [[1] * 20] * 2
    assert compare_detections(form.name, found, expected, ENDING).passed


def test_rows_behind_the_last_thing_are_zeros(form: Format, tmp_path: Path) -> None:
    rule = replace(ENDING.rule, most=100)
    found, _ = found_in(form, model(replace(ENDING, rule=rule)), tmp_path)
    for image, number in enumerate(found["num_detections"].astype(int)):
        assert 0 < number < rule.most
        for name in ENDING.names[:3]:
            assert not found[name][image, number:].any()


def test_it_says_what_it_gives(form: Format, tmp_path: Path) -> None:
    made, path = model(), tmp_path / f"detector{form.suffix}"
    form.write_float_model(made, path, precision=Precision.FLOAT32)
    summary = form.read(path)
    assert summary.names == ENDING.names
    assert summary.shapes == dict(zip(ENDING.names, ENDING.shapes, strict=True))
    assert summary.metadata is not None
    assert summary.metadata.batch == 1
    assert not form.differences(path, made)
    assert not [name for name in summary.operators if "PostProcess" in name or "NonMax" in name]  # at the boundary


FAULTS: dict[str, tuple[Callable[[Suppression], Suppression], tuple[str, str]]] = {
    "least score": (lambda rule: replace(rule, score=0.31), ("nms_score_threshold", "least value")),
    "overlap": (lambda rule: replace(rule, overlap=0.41), ("nms_iou_threshold", "overlap")),
    "rows": (lambda rule: replace(rule, most=19), ("max_detections", "most")),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_another_rule_is_found(fault: str, form: Format, tmp_path: Path) -> None:
    spoil, words = FAULTS[fault]
    path = tmp_path / f"detector{form.suffix}"
    form.write_float_model(model(replace(ENDING, rule=spoil(ENDING.rule))), path, precision=Precision.FLOAT32)
    found = [str(difference) for difference in form.differences(path, model())]
    assert any("detection_boxes" in text and any(word in text for word in words) for text in found), found


PLANTED: dict[str, tuple[str, str, object, str]] = {
    "anchors whose sizes come first": ("tflite", "_IMAGE", (1.0, 1.0, 0.0, 0.0), "anchors of detection_boxes"),
    "codings of x and y exchanged": ("tflite", "ORDER", (0, 1, 2, 3), "detection_boxes.codings"),
    "scales of another coding": ("tflite", "_HALVED", 1.0, "x_scale of detection_boxes"),
    "classes of boxes": ("onnx", "_OF_CLASS", 2, "detection_boxes.left_classes"),
    "left before top": ("onnx", "ORDER", (0, 1, 2, 3), "places of detection_boxes"),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_planted_faults_are_found_and_show(fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, constant, value, named = PLANTED[fault]
    endings = importlib.import_module(f"edgekit.exporters.{name}.endings")
    form, path = FORMATS[name], tmp_path / f"detector{FORMATS[name].suffix}"
    with monkeypatch.context() as patched:
        patched.setattr(endings, constant, value)
        form.write_float_model(model(), path, precision=Precision.FLOAT32)
    found = [str(difference) for difference in form.differences(path, model())]
    assert any(named in text for text in found), found
    with all_runners(path)[0]() as runner:
        given = runner.run(images())
    assert not compare_detections(runner.name, given, wanted(model()), ENDING).passed


def test_several_images_at_once_are_refused(form: Format, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"computed of one image at a time, and export\.batch is 4: leave --batch out"
    ):
        form.write_float_model(model(), tmp_path / f"d{form.suffix}", precision=Precision.FLOAT32, options={"batch": 4})


def test_a_format_without_such_an_operator_is_refused() -> None:
    with pytest.raises(ConfigError, match="no operator for non-maximum suppression: use --outputs decoded"):
        FORMATS["torch"].check_endings(model().provenance)
    FORMATS["torch"].check_endings({})


def test_older_runtimes_read_it(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    path, options = tmp_path / "detector.onnx", {"runtime": "1.7"}
    FORMATS["onnx"].write_float_model(model(), path, precision=Precision.FLOAT32, options=options)
    with all_runners(path)[0]() as runner:
        found: dict[str, Any] = runner.run(images())
    assert compare_detections("onnx", found, wanted(model()), ENDING).passed
