"""Int8 files with a float32 boundary, fed with what the float network takes, in every format and runtime."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgekit import integer_model
from edgekit.calibration.assignment import quantize
from edgekit.calibration.options import Options
from edgekit.calibration.ranges import Range
from edgekit.conventions import IMAGENET_MEAN, IMAGENET_STD
from edgekit.exporters.contents import Contents
from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import IoDtype
from edgekit.exporters.vocabulary import Does
from edgekit.preprocessing import Normalization, Preprocessing
from edgekit.reference.integer import Reference
from edgekit.runtimes.catalog import all_runners
from edgekit.verification.float_input import broken_float_input
from edgekit.verification.well_formed import well_formed
from tests.networks import RELU6, FloatSketch

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.exporters.format import Format
    from edgekit.integer_model import IntegerModel

NORMALIZATIONS = {
    "half": ((0.5,) * 3, (0.5,) * 3),
    "ImageNet": (IMAGENET_MEAN, IMAGENET_STD),
    "0..1": ((0.0,) * 3, (1.0,) * 3),
    "grey": ((0.5,), (0.5,)),
    "four channels": ((0.5, 0.4, 0.3, 0.2), (0.2, 0.25, 0.3, 0.35)),
}
BOUNDARY: dict[str, dict[str, tuple[str, ...]]] = {  # operators that stand before QUANTIZE, by the format
    "half": {"onnx": ("Add",), "tflite": ("ADD",), "torch": ("aten::add",)},
    "ImageNet": {"onnx": ("BatchNormalization",), "tflite": ("MUL", "ADD"), "torch": ("aten::addcmul",)},
    "0..1": {"onnx": (), "tflite": (), "torch": ()},
}


@pytest.fixture(params=FORMATS)
def form(request: pytest.FixtureRequest) -> Format:
    found = FORMATS[request.param]
    for module in found.modules:
        pytest.importorskip(module)
    return found


def network(mean: tuple[float, ...], std: tuple[float, ...]) -> IntegerModel:
    """Two layers; weights of seven bits, so that no kernel of any processor saturates."""
    s = FloatSketch((len(mean), 12, 10))
    s.linear(s.mean(s.conv(s.conv("x", 8, 3, (2, 2), "same", RELU6), 12, clamp=RELU6), keep_dims=False), 10)
    model = replace(s.float_model(), preprocessing=Preprocessing((12, 10), None, mean, std), labels=())
    ranges = {name: Range(-4.0, 4.0) for name in model.graph.tensors}
    return quantize(model, ranges, Options(weight_bits=7))


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_the_logits_are_the_references(form: Format, name: str, tmp_path: Path) -> None:
    mean, std = NORMALIZATIONS[name]
    model, path = network(mean, std), tmp_path / f"m{form.suffix}"
    pixels = np.random.default_rng(0).integers(0, 256, (4, 12, 10, len(mean)), np.uint8)
    pixels[:3].reshape(-1, len(mean))[:256] = np.arange(256, dtype=np.uint8)[:, None]
    logits = model.params[model.graph.output_tensors[0]]
    expected = logits.dequantize(Reference(model).run(model.encode(pixels))["logits"])
    form.write_integer_model(model, path, io_dtype=IoDtype.FLOAT32)
    own = model.preprocessing.normalization(pixels)
    to_tensor = (pixels / np.float32(255) - np.array(mean, np.float32)) / np.array(std, np.float32)
    from_float64 = ((pixels / 255 - np.array(mean)) / np.array(std)).astype(np.float32)
    batches = [own, *(np.ascontiguousarray(x.transpose(0, 3, 1, 2)) for x in (to_tensor, from_float64))]
    for make in all_runners(path):
        with make() as runner:
            for batch in batches:
                np.testing.assert_array_equal(runner.run(batch)["logits"], expected, err_msg=runner.name)
    summary = form.read(path)
    assert summary.metadata is not None
    assert summary.metadata.normalization == model.preprocessing.normalization
    assert not summary.float_operators
    assert not well_formed(path, model)
    before = BOUNDARY.get(name, {}).get(form.name, ())
    assert summary.boundary[: len(before)] == before


def test_it_takes_pixels_where_it_says_so(form: Format, tmp_path: Path) -> None:
    model, path = network(*NORMALIZATIONS["ImageNet"]), tmp_path / f"m{form.suffix}"
    model = replace(model, provenance={integer_model.BOUNDARY: integer_model.PIXELS})
    pixels = np.random.default_rng(0).integers(0, 256, (4, 12, 10, 3), np.uint8)
    logits = model.params[model.graph.output_tensors[0]]
    expected = logits.dequantize(Reference(model).run(model.encode(pixels))["logits"])
    form.write_integer_model(model, path, io_dtype=IoDtype.FLOAT32)
    summary = form.read(path)
    assert summary.metadata is not None
    assert summary.metadata.normalization == Normalization((0.0,) * 3, (1.0,) * 3)
    assert summary.metadata.preprocessing == model.preprocessing
    assert not well_formed(path, model)
    for make in all_runners(path):
        with make() as runner:
            given = runner.run(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32))
        np.testing.assert_array_equal(given["logits"], expected, err_msg=runner.name)


@pytest.mark.parametrize("name", ["half", "ImageNet", "four channels"])
def test_arithmetic_that_does_not_fit_what_the_file_says(form: Format, name: str, tmp_path: Path) -> None:
    model, path = network(*NORMALIZATIONS[name]), tmp_path / f"m{form.suffix}"
    form.write_integer_model(model, path, io_dtype=IoDtype.FLOAT32)
    about = form.read(path).metadata
    assert about is not None
    if form.read(path).inputs[0].dtype != IoDtype.FLOAT32:
        pytest.skip("it takes a picture")
    contents = form.contents(path)
    assert not list(broken_float_input(contents, form, about))
    mean, std = about.normalization.mean, about.normalization.std
    for other in (Normalization((*mean[:-1], mean[-1] + 1), std), Normalization(mean, (*std[:-1], std[-1] * 1.01))):
        (text,) = broken_float_input(contents, form, replace(about, normalization=other))
        assert "levels from where it belongs" in text
    without = Contents(contents.operators[:1], contents.facts, contents.io_dtype)
    assert list(broken_float_input(without, form, about)) == ["nothing quantizes the input"]
    (first, *others) = contents.operators
    strange = replace(first, fields={**first.fields, "operator": "ERF"}, does=Does.OTHER)
    (text,) = broken_float_input(replace(contents, operators=(strange, *others)), form, about)
    assert "the input goes through ERF before it is quantized" in text
