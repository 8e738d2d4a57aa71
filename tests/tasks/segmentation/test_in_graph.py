"""Classes that files name: the reference's in every runtime, and those of the masks that edgekit makes of logits."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgekit.calibration.assignment import quantize
from edgekit.calibration.ranges import Range
from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import IoDtype, Precision
from edgekit.integer_model import IntegerModel
from edgekit.reference.float import FloatReference
from edgekit.runtimes.catalog import all_runners
from edgekit.tasks.segmentation.in_graph import classed, enlarged
from edgekit.tasks.segmentation.masks import classes_of, logits_of
from edgekit.verification import compare
from edgekit.verification.class_parity import ClassParity
from edgekit.verification.well_formed import well_formed
from tests.networks import FloatSketch

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

OWN, EIGHTFOLD, UNEVEN = None, (32, 40), (11, 13)
SIZES = pytest.mark.parametrize("size", [OWN, EIGHTFOLD, UNEVEN], ids=["own size", "eightfold", "uneven"])


def sketch() -> FloatSketch:
    """A segmenter of 7 classes on maps of 4 x 5 places."""
    s = FloatSketch((3, 4, 5))
    s.conv("x", 7)
    return s


@pytest.fixture(scope="module")
def raw() -> IntegerModel:
    """With so few steps that two classes have the same integer at every fourth place."""
    s = sketch()
    ranges = {name: Range(20 * r.low, 20 * r.high) if name != "x" else r for name, r in s.ranges().items()}
    return quantize(s.float_model(), ranges)


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    return sketch().pixels(6)


@SIZES
def test_the_reference_gives_the_masks_of_the_logits(
    raw: IntegerModel, pixels: NDArray[np.uint8], size: tuple[int, int] | None, tmp_path: Path
) -> None:
    model = replace(raw, graph=classed(raw.graph, "logits", "classes", size))
    logits = compare.reference_outputs(raw, pixels)["logits"]
    best = np.sort(logits, 1)
    assert (best[:, -1] == best[:, -2]).mean() > 0.2
    found = compare.reference_outputs(model, pixels)["classes"]
    wanted = classes_of(raw.real(raw.graph.output_tensors[0], logits), size)
    assert found.dtype == np.int32
    assert (found != wanted).mean() < (2e-3 if size == UNEVEN else 1e-9)
    model.save(tmp_path / "model.edgekit")
    assert IntegerModel.load(tmp_path / "model.edgekit").graph.nodes == model.graph.nodes


@SIZES
@pytest.mark.parametrize("name", FORMATS)
def test_every_runtime_names_the_classes_of_the_reference(
    raw: IntegerModel, pixels: NDArray[np.uint8], name: str, size: tuple[int, int] | None, tmp_path: Path
) -> None:
    model = replace(raw, graph=classed(raw.graph, "logits", "classes", size))
    assert model.exact == (size != UNEVEN)
    path, expected = tmp_path / f"net{FORMATS[name].suffix}", compare.reference_outputs(model, pixels)
    io_dtype = IoDtype.FLOAT32 if name == "coreml" else IoDtype.UINT8
    FORMATS[name].write_integer_model(model, path, io_dtype=io_dtype, options={})
    summary = FORMATS[name].read(path)
    assert [output.dtype for output in summary.answers] == ["int32"]
    assert summary.shapes == {"classes": size or (4, 5)}
    assert not FORMATS[name].violations(path)
    assert not well_formed(path, model)
    assert not FORMATS[name].differences(path, model)
    assert summary.metadata is not None
    asked = 0
    for make_runner in all_runners(path):
        with make_runner() as runner:
            if compare.unclaimed(runner, summary.metadata, model):
                continue
            (parity,) = compare.integers(runner, summary.metadata, model, pixels, expected)
        assert isinstance(parity, ClassParity)
        assert parity.passed
        assert parity.differing == 0 or size == UNEVEN
        asked += 1
    assert asked


@pytest.mark.parametrize("name", FORMATS)
def test_every_runtime_enlarges_logits_alike(
    raw: IntegerModel, pixels: NDArray[np.uint8], name: str, tmp_path: Path
) -> None:
    model = replace(raw, graph=enlarged(raw.graph, "logits", EIGHTFOLD, raw.params))
    path, logits = tmp_path / f"net{FORMATS[name].suffix}", compare.reference_outputs(raw, pixels)["logits"]
    wanted = logits_of(raw.real(raw.graph.output_tensors[0], logits), EIGHTFOLD)
    np.testing.assert_allclose(compare.reference_outputs(model, pixels)["logits"], wanted, atol=1e-5)
    FORMATS[name].write_integer_model(model, path, io_dtype=IoDtype.FLOAT32, options={})
    about, asked = FORMATS[name].read(path).metadata, 0
    assert about is not None
    for make_runner in all_runners(path):
        with make_runner() as runner:
            if compare.unclaimed(runner, about, raw):
                continue
            values = compare.run_integers(runner, about, model, pixels)["logits"]
        np.testing.assert_allclose(values, wanted, atol=1e-5)
        asked += 1
    assert asked


def test_a_package_has_what_xcode_shows_masks_by(raw: IntegerModel, tmp_path: Path) -> None:
    from edgekit.exporters.coreml.reader import read_model

    names = tuple("abcdefg")
    model = replace(raw, graph=classed(raw.graph, "logits", "classes", EIGHTFOLD), labels=names)
    FORMATS["coreml"].write_integer_model(model, tmp_path / "net.mlpackage", io_dtype=IoDtype.FLOAT32)
    said = read_model(tmp_path / "net.mlpackage").user_defined
    assert said["com.apple.coreml.model.preview.type"] == "imageSegmenter"
    parameters = json.loads(said["com.apple.coreml.model.preview.parameters"])
    assert parameters["labels"] == [*names]
    assert len(set(parameters["colors"])) == len(names)


@pytest.mark.parametrize("precision", [Precision.FLOAT32, Precision.FLOAT16])
@pytest.mark.parametrize("name", FORMATS)
def test_float_files_name_the_classes_of_the_network(
    pixels: NDArray[np.uint8], name: str, precision: Precision, tmp_path: Path
) -> None:
    model = sketch().float_model()
    model = replace(model, graph=classed(model.graph, "logits", "classes", EIGHTFOLD))
    expected = FloatReference(model.graph).run(model.preprocessing.normalization(pixels))
    path = tmp_path / f"net{FORMATS[name].suffix}"
    FORMATS[name].write_float_model(model, path, precision=precision)
    about = FORMATS[name].read(path).metadata
    assert about is not None
    with all_runners(path)[0]() as runner:
        (parity,) = compare.floats(runner, about, pixels, expected)
    assert parity.passed
