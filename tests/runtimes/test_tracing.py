"""Traces of the shipped files: what is asked for, and what cannot be given."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgekit.errors import ArtifactError
from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import Precision
from edgekit.integer_model import IntegerModel
from edgekit.ir import Tensor
from edgekit.runtimes import tracing
from edgekit.runtimes.catalog import all_runners
from edgekit.runtimes.litert import Kernels, LiteRtRunner
from edgekit.runtimes.tracing import Trace, TracingRunner, factor_of, renamed, trace_file, trace_model
from tests.exporters.test_endings import model as detector_with_suppression

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

for needed in ("torch", "safetensors", "onnx", "onnxruntime", "onnxsim", "ai_edge_litert", "coremltools"):
    pytest.importorskip(needed)

SUFFIXES = ("tflite", "onnx", "pt", "mlpackage")


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (1, 32, 32, 3), np.uint8)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_runner_can_show_what_is_inside(suffix: str, exported: Path) -> None:
    for make in all_runners(next(exported.glob(f"*.int8.{suffix}"))):
        with make() as runner:
            assert isinstance(runner, TracingRunner)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_showing_what_is_inside_changes_no_answer(suffix: str, exported: Path, pixels: NDArray[np.uint8]) -> None:
    """Nor does it change how a file is run afterwards."""
    model = IntegerModel.load(next(exported.glob("*.edgekit")))
    path = next(exported.glob(f"*.int8.{suffix}"))
    for make in all_runners(path):
        found = trace_file(path, pixels, model, make_runner=make)
        np.testing.assert_array_equal(found.answers["logits"], found.tensors[model.graph.output_tensors[0]])
        with make() as runner:
            assert isinstance(runner, TracingRunner)
            assert (runner.name, runner.differs_because) == (found.runner, found.differs_because)
            batch = model.preprocessing.normalization(pixels)
            before = runner.run(batch)["logits"]
            runner.trace(batch)
            np.testing.assert_array_equal(runner.run(batch)["logits"], before)


@pytest.mark.parametrize("name", ["tflite", "onnx"])
def test_suppression_behind_a_network_is_left_out(name: str, tmp_path: Path) -> None:
    """Boxes of equal scores are in any order; what it reads is shown."""
    made = detector_with_suppression()
    path = tmp_path / f"detector{FORMATS[name].suffix}"
    FORMATS[name].write_float_model(made, path, precision=Precision.FLOAT32)
    height, width, channels = made.preprocessing.shape
    pixels = np.random.default_rng(0).integers(0, 3, (2, height, width, channels), np.uint8)
    for network in (made.graph, None):
        found = trace_file(path, pixels, network)
        assert not found.answers
        assert network is None or set(network.output_tensors) <= set(found.tensors)
        assert not [tensor for tensor in found.tensors if tensor.startswith(("detection_", "num_"))]


def test_the_runner_that_is_asked_for(exported: Path, pixels: NDArray[np.uint8]) -> None:
    model = IntegerModel.load(next(exported.glob("*.edgekit")))
    path = next(exported.glob("*.int8.tflite"))
    builtin = trace_file(path, pixels, model, make_runner=partial(LiteRtRunner, path, kernels=Kernels.BUILTIN))
    assert builtin.runner.endswith("builtin")
    expected = trace_model(model, pixels)
    assert any((builtin.tensors[name] != values).any() for name, values in expected.tensors.items())


def test_a_float_file_without_its_graph(exported: Path, pixels: NDArray[np.uint8]) -> None:
    """Names are the file's, its two ends are called alike in every format, and the order is that of execution."""
    traces = {suffix: trace_file(next(exported.glob(f"*.float32.{suffix}")), pixels) for suffix in SUFFIXES}
    for found in traces.values():
        names = list(found.tensors)
        assert (names[0], names[-1]) == ("image", "logits")
        np.testing.assert_allclose(found.tensors["logits"], found.answers["logits"], rtol=1e-4)
        np.testing.assert_allclose(found.tensors["image"], traces["onnx"].tensors["image"], atol=1e-6)
    assert "features.1.block.0.2" in traces["tflite"].tensors
    assert "features_1_block_0_2" in traces["pt"].tensors
    alike = renamed(traces["pt"], traces["tflite"].tensors, {"image": "image", "logits": "logits"})
    extra = {name for name in traces["tflite"].tensors if name.endswith(".padded")}
    assert alike.tensors.keys() == traces["tflite"].tensors.keys() - extra


def test_ends_are_renamed() -> None:
    value = np.zeros((1, 2), np.float32)
    trace = Trace("r", Precision.FLOAT32, {"image": value, "features_0_0": value, "gate": value, "logits": value}, {})
    found = renamed(trace, ["x", "features.0.0", "classifier.3"], {"image": "x", "logits": "classifier.3"})
    assert list(found.tensors) == ["x", "features.0.0", "gate", "classifier.3"]


def test_factors() -> None:
    assert factor_of(Tensor("x", (2, 4, 4), 6.0)).shape == ()
    assert factor_of(Tensor("x", (2, 4, 4), (1.0, 2.0))).shape == (2, 1, 1)
    assert factor_of(Tensor("x", (2,), (1.0, 2.0))).tolist() == [1.0, 2.0]


def test_what_cannot_be_traced(
    exported: Path, pixels: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnx

    foreign = onnx.load(next(exported.glob("*.float32.onnx")))
    del foreign.metadata_props[:]
    onnx.save(foreign, tmp_path / "foreign.onnx")
    with pytest.raises(ArtifactError, match=r"foreign\.onnx was not written by edgekit"):
        trace_file(tmp_path / "foreign.onnx", pixels)
    monkeypatch.setattr(tracing, "all_runners", lambda path: ())
    with pytest.raises(ArtifactError, match="nothing on this machine can show the tensors inside of"):
        trace_file(next(exported.glob("*.float32.tflite")), pixels)
