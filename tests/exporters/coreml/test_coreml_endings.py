"""Packages that suppress boxes: pipelines that Vision takes for detectors, as far as that can be seen without a Mac."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("coremltools")

from edgekit.exporters.coreml import codec
from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import IoDtype, Precision
from edgekit.float_model import FloatModel
from edgekit.ir import Output
from edgekit.preprocessing import Preprocessing
from edgekit.runtimes.catalog import all_runners
from edgekit.runtimes.mil import Interpreter
from edgekit.suppression import ended, endings_of
from edgekit.tasks.segmentation.in_graph import classed
from edgekit.verification import compare
from edgekit.verification.detection_parity import compare_detections
from edgekit.verification.well_formed import well_formed
from tests.exporters.test_endings import ENDING, images, model, wanted
from tests.exporters.test_head import integers
from tests.networks import FloatSketch

if TYPE_CHECKING:
    from pathlib import Path

LABELS = ("stop", "yield")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    path = tmp_path / "detector.mlpackage"
    made = replace(model(), labels=LABELS)
    FORMATS["coreml"].write_float_model(made, path, precision=Precision.FLOAT32)
    assert not well_formed(path, made)
    assert not FORMATS["coreml"].differences(path, made)
    return path


def test_it_is_what_vision_looks_for(package: Path) -> None:
    import coremltools

    spec: Any = coremltools.models.MLModel(str(package), skip_model_load=True).get_spec()
    program, suppression = spec.pipeline.models
    assert [program.WhichOneof("Type"), suppression.WhichOneof("Type")] == ["mlProgram", "nonMaximumSuppression"]
    assert [feature.name for feature in spec.description.input] == ["image", "iouThreshold", "confidenceThreshold"]
    assert [feature.type.isOptional for feature in spec.description.input] == [False, True, True]
    assert [feature.name for feature in spec.description.output] == ["confidence", "coordinates"]
    for feature, columns in zip(spec.description.output, (2, 4), strict=True):
        rows, width = feature.type.multiArrayType.shapeRange.sizeRanges
        assert (rows.lowerBound, rows.upperBound) == (0, ENDING.rule.most)
        assert (width.lowerBound, width.upperBound) == (columns, columns)
    made = suppression.nonMaximumSuppression
    assert (made.iouThreshold, made.confidenceThreshold, made.pickTop.perClass) == (0.4, 0.3, True)
    assert tuple(made.stringClassLabels.vector) == LABELS
    taken = {feature.name: feature for feature in program.description.output}
    read = [made.confidenceInputFeatureName, made.coordinatesInputFeatureName]
    assert [list(taken[name].type.multiArrayType.shape) for name in read] == [[72, 2], [72, 4]]
    assert [feature.name for feature in suppression.description.input[:2]] == read


def test_the_program_gives_what_suppression_reads(package: Path) -> None:
    with all_runners(package)[0]() as runner:
        assert runner.name.endswith("float32, boxes suppressed by edgekit")
        given = runner.run(images()[:1])
    assert set(given) == {"corners", "probabilities"}
    read = ("raw_confidence", "raw_coordinates")
    confidence, coordinates = Interpreter(codec.read_program(package)).run({"image": images()[:1]}, read).values()
    (corners,), (probabilities,) = given["corners"], given["probabilities"]
    low, high = corners[:, :2], corners[:, 2:]
    np.testing.assert_allclose(coordinates, np.concatenate([(low + high) / 2, high - low], 1), atol=1e-7)
    np.testing.assert_array_equal(confidence, probabilities)


def test_edgekit_suppresses_what_the_program_gives(package: Path) -> None:
    about = codec.read(package).metadata
    assert about is not None
    (ending,) = endings_of(about.provenance)
    assert ending == ENDING
    pixels = images().transpose(0, 2, 3, 1)
    with all_runners(package)[0]() as runner:
        found = compare.run_floats(runner, about, np.zeros_like(pixels, np.uint8))
        assert set(found) == set(ending.names)
        given = runner.run(images())
    expected = wanted(model())
    assert compare_detections(runner.name, ended(given, about.provenance), expected, ending).passed


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        (replace(ENDING.rule, score=0.31), "confidenceThreshold"),
        (replace(ENDING.rule, overlap=0.41), "iouThreshold"),
        (replace(ENDING.rule, most=19), "upperBound"),
    ],
)
def test_another_rule_is_found(rule: Any, named: str, tmp_path: Path) -> None:
    path, form = tmp_path / "detector.mlpackage", FORMATS["coreml"]
    form.write_float_model(model(replace(ENDING, rule=rule)), path, precision=Precision.FLOAT32)
    found = [str(difference) for difference in form.differences(path, model())]
    assert any("suppression 0" in text and named in text for text in found), found


def test_what_is_read_has_to_be_there(package: Path) -> None:
    model_file = package / "Data" / "com.apple.CoreML" / "model.mlmodel"
    whole = codec.read_model(package).whole
    whole.pipeline.models[1].nonMaximumSuppression.confidenceInputFeatureName = "another"
    model_file.write_bytes(whole.SerializeToString(deterministic=True))
    (found,) = (str(broken.text) for broken in codec.violations(package))
    assert found == "boxes are suppressed by another, which the program does not give"


def test_what_takes_the_batch_off_a_mask_is_at_the_boundary(tmp_path: Path) -> None:
    s = FloatSketch((3, 16, 16))
    logits = s.conv("x", 4, 3, (2, 2), "same")
    graph = replace(s.graph(), outputs=(Output("mask", logits),))
    made = integers(FloatModel(graph, Preprocessing((16, 16), None)))
    path = tmp_path / "mask.mlpackage"
    masks = replace(made, graph=classed(made.graph, "mask", "classes", (32, 32)))
    codec.write_integer_model(masks, path, io_dtype=IoDtype.FLOAT32)
    summary = codec.read(path)
    assert "squeeze" in summary.boundary
    assert "squeeze" not in summary.operators
