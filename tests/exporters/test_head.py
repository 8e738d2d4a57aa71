"""Probabilities beside the logits, in every format: near what soft-max makes of them, and the logits as they were."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit import config
from edgekit.calibration.assignment import quantize
from edgekit.calibration.options import Options
from edgekit.calibration.ranges import Range
from edgekit.errors import ConfigError
from edgekit.exporters.contents import differences
from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import PROBABILITIES, Head, IoDtype, Precision
from edgekit.integer_model import IntegerModel
from edgekit.preprocessing import Preprocessing
from edgekit.reference.integer import Reference
from edgekit.runtimes.catalog import all_runners
from edgekit.verification.well_formed import well_formed
from tests.networks import RELU6, FloatSketch

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.exporters.format import Format
    from edgekit.float_model import FloatModel
CLASSES = tuple(f"class {index}" for index in range(10))
HEADS = [Head.SOFTMAX, Head.SIGMOID]


@pytest.fixture(params=FORMATS)
def form(request: pytest.FixtureRequest) -> Format:
    found = FORMATS[request.param]
    for module in found.modules:
        pytest.importorskip(module)
    return found


def floats(labels: tuple[str, ...] = ()) -> FloatModel:
    s = FloatSketch((3, 12, 10))
    s.linear(s.mean(s.conv(s.conv("x", 8, 3, (2, 2), "same", RELU6), 12, clamp=RELU6), keep_dims=False), 10)
    return replace(s.float_model(), preprocessing=Preprocessing((12, 10), None), labels=labels)


def integers(model: FloatModel) -> IntegerModel:
    """With weights of seven bits, so that no kernel of any processor saturates."""
    return quantize(model, {name: Range(-4.0, 4.0) for name in model.graph.tensors}, Options(weight_bits=7))


def wanted(head: Head, logits: NDArray[Any]) -> NDArray[Any]:
    exact = np.exp(logits.astype(np.float64))
    probabilities: NDArray[Any] = exact / (exact.sum(1, keepdims=True) if head is Head.SOFTMAX else 1 + exact)
    return probabilities


def given_by(path: Path, form: Format, batch: NDArray[np.float32], pixels: NDArray[np.uint8]) -> NDArray[Any]:
    """The output called ``probabilities``, from the runtime itself."""
    match form.name:
        case "tflite":
            from ai_edge_litert.interpreter import Interpreter

            runner = Interpreter(str(path)).get_signature_runner()
            return np.concatenate([runner(image=x[None])[PROBABILITIES] for x in batch.transpose(0, 2, 3, 1)])
        case "onnx":
            import onnxruntime

            session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
            return np.asarray(session.run([PROBABILITIES], {"image": batch})[0])
        case "torch":
            import torch

            from edgekit.exporters.torch import script
            from edgekit.exporters.torch.reading import load

            loaded = load(path)
            with script.pinned(loaded.engine):
                found: NDArray[Any] = loaded.module.probabilities(torch.from_numpy(batch)).detach().numpy()
            return found
        case "coreml":
            from edgekit.exporters.coreml.codec import read_program
            from edgekit.runtimes.mil import Interpreter as Mil

            mil, images = Mil(read_program(path)), pixels.transpose(0, 3, 1, 2).astype(np.float32)
            return np.concatenate([mil.run({"image": x[None]}, (PROBABILITIES,))[PROBABILITIES] for x in images])
        case _:
            raise AssertionError


@pytest.mark.parametrize("precision", [Precision.INT8, Precision.FLOAT32])
@pytest.mark.parametrize("head", HEADS)
def test_they_stand_beside_the_logits(form: Format, head: Head, precision: Precision, tmp_path: Path) -> None:
    model, path, plain = floats(), tmp_path / f"m{form.suffix}", tmp_path / f"plain{form.suffix}"
    network: IntegerModel | FloatModel = model
    if precision is Precision.INT8:
        network = integers(model)
        form.write_integer_model(network, path, io_dtype=IoDtype.FLOAT32, options={"head": head})
        form.write_integer_model(network, plain, io_dtype=IoDtype.FLOAT32)
    else:
        form.write_float_model(model, path, precision=precision, options={"head": head})
        form.write_float_model(model, plain, precision=precision)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 12, 10, 3), np.uint8)
    batch = model.preprocessing.normalization(pixels)
    for make, make_plain in zip(all_runners(path), all_runners(plain), strict=True):
        with make() as runner, make_plain() as other:
            logits = runner.run(batch)["logits"]
            np.testing.assert_array_equal(logits, other.run(batch)["logits"], err_msg=runner.name)
    if isinstance(network, IntegerModel):
        scale = network.params[network.graph.output_tensors[0]]
        np.testing.assert_array_equal(
            logits, scale.dequantize(Reference(network).run(network.encode(pixels))["logits"])
        )
    found = given_by(path, form, batch, pixels)
    np.testing.assert_allclose(found, wanted(head, logits), atol=1e-5)
    summary = form.read(path)
    assert summary.metadata is not None
    assert summary.metadata.head is head
    assert len(summary.float_operators) == len(form.read(plain).float_operators)
    assert not well_formed(path, network)
    assert not form.differences(path, network)


def test_another_head_than_the_metadata_says_is_a_difference(form: Format, tmp_path: Path) -> None:
    model, contents = integers(floats()), {}
    for head in Head:
        form.write_integer_model(
            model, path := tmp_path / f"{head}{form.suffix}", io_dtype=IoDtype.FLOAT32, options={"head": head}
        )
        contents[head] = form.contents(path)
        assert contents[head].options.get("head", Head.LOGITS) is head
    for found, right in ((Head.SIGMOID, Head.SOFTMAX), (Head.LOGITS, Head.SOFTMAX), (Head.SOFTMAX, Head.LOGITS)):
        spoilt = replace(contents[found], facts={**contents[found].facts, "edgekit.head": right})
        different = [d for d in differences(spoilt, contents[right]) if d.field != "edgekit.head"]
        assert different


def test_an_integer_boundary_has_no_room_for_them(form: Format, tmp_path: Path) -> None:
    for io_dtype in (IoDtype(name) for name in form.io_dtypes if name != "float32"):
        with pytest.raises(ConfigError, match=f"a file that gives {io_dtype} cannot have any: use --io-dtype float32"):
            form.check_boundary(io_dtype, Head.SOFTMAX)
        with pytest.raises(ConfigError, match="probabilities are float32"):
            form.write_integer_model(
                integers(floats()), tmp_path / "m", io_dtype=io_dtype, options={"head": Head.SOFTMAX}
            )


def test_a_classifier_of_core_ml_scores_with_probabilities(tmp_path: Path) -> None:
    pytest.importorskip("coremltools")
    from edgekit.exporters.coreml import codec as coreml
    from edgekit.exporters.coreml.schema import schema

    model, path = integers(floats(CLASSES)), tmp_path / "m.mlpackage"
    coreml.write_integer_model(model, path, io_dtype=IoDtype.FLOAT32, head=Head.SOFTMAX)
    described = schema().model.Model.FromString(next(path.rglob("*.mlmodel")).read_bytes()).description
    assert described.predictedProbabilitiesName == "classLabel_probs"
    assert [output.name for output in described.output] == ["classLabel", "classLabel_probs", "logits"]
    pixels = np.random.default_rng(0).integers(0, 256, (2, 12, 10, 3), np.uint8)
    expected = Reference(model).run(model.encode(pixels))["logits"]
    (make,) = all_runners(path)
    with make() as runner:
        logits = runner.run(model.preprocessing.normalization(pixels))["logits"]
    scale = model.params[model.graph.output_tensors[0]]
    np.testing.assert_array_equal(logits, scale.dequantize(expected))
    from edgekit.runtimes.mil import Interpreter

    image = pixels[:1].transpose(0, 3, 1, 2).astype(np.float32)
    scores: Any = Interpreter(coreml.read_program(path)).run({"image": image}, ("classLabel_probs",))
    found = scores["classLabel_probs"]
    assert [found[name] for name in CLASSES] == pytest.approx(wanted(Head.SOFTMAX, logits[:1])[0], abs=1e-6)
    renamed = replace(model, labels=tuple(reversed(CLASSES)))
    assert "labels" in {difference.field for difference in FORMATS["coreml"].differences(path, renamed)}


def test_the_neural_engine_is_given_probabilities() -> None:
    assert config.load(None, {"export": {"device": "apple-neural-engine"}}).export.probabilities == "softmax"
