"""One network with three heads of different shapes: each output by its name, in every format and runtime."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from edgekit import config
from edgekit.exporters import metadata
from edgekit.exporters.formats import format_of
from edgekit.integer_model import IntegerModel
from edgekit.pipeline.making.export import export
from edgekit.pipeline.proving.diff import diff
from edgekit.pipeline.proving.predicting import Opened
from edgekit.pipeline.proving.verify import verify
from edgekit.runtimes.catalog import all_runners
from edgekit.verification import compare
from edgekit.verification.integer_parity import IntegerParity
from tests.conftest import heads_of

if TYPE_CHECKING:
    from pathlib import Path

SHAPES = {"classes": (10,), "pose": (4,), "mask": (3, 8, 8)}
KINDS = ("onnx", "tflite", "mlpackage", "pt")


def test_every_output_is_verified_by_its_name_in_every_runtime(heads: Path) -> None:
    settings = config.load(None, {"model": {"checkpoint": heads / "net.onnx"}})
    result = verify([heads / "exported"], settings)
    assert result.passed, [gate.problem for file in result.files for gate in file.gates if gate.problem]
    assert len(result.files) == 2 * len(KINDS)
    for file in result.files:
        runners = {parity.runner for parity in file.parities}
        assert {(parity.runner, parity.output) for parity in file.parities} == {(r, o) for r in runners for o in SHAPES}
        claimed = [parity for parity in file.parities if parity.runner not in file.unclaimed]
        assert {parity.output for parity in claimed} == set(SHAPES)
        assert all(parity.identical == 1 for parity in claimed if isinstance(parity, IntegerParity))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_every_file_says_what_it_gives(heads: Path, precision: str, kind: str) -> None:
    path = heads / "exported" / f"net.{precision}.{kind}"
    summary = format_of(path).read(path)
    assert summary.names == tuple(output.name for output in summary.outputs) == tuple(SHAPES)
    assert summary.shapes == SHAPES
    assert summary.metadata is not None
    wanted = "NHWC" if kind == "tflite" else "NCHW"
    assert [output.axes for output in summary.metadata.outputs] == ["NC", "NC", wanted]
    assert tuple(output.shape for output in summary.metadata.outputs) == tuple(
        (-1 if summary.metadata.batch is None else 1, *declared.shape[1:]) for declared in summary.outputs
    )


def test_a_layer_is_found_behind_a_head(heads: Path) -> None:
    """Formats show the same tensors, and the same outputs, whatever they call the others."""
    int8, float32 = (
        [heads / "exported" / f"net.{precision}.{kind}" for kind in KINDS] for precision in ("int8", "float32")
    )
    for first, second in ((int8[0], int8[1]), (int8[1], int8[3]), (float32[1], float32[3])):
        assert diff(first, second, images=1).passed


def test_predictions_are_by_name(heads: Path, tmp_path: Path) -> None:
    pixels = np.load(heads / "images.npy")[:1]
    Image.fromarray(pixels[0]).save(tmp_path / "a.png")
    expected = compare.reference_outputs(model := IntegerModel.load(heads / "exported" / "net.int8.edgekit"), pixels)
    with Opened(heads / "exported" / "net.int8.tflite") as opened:
        (found,) = opened.of_pixels(pixels)
    for output in model.graph.outputs:
        reals = model.params[output.tensor].dequantize(expected[output.name])
        np.testing.assert_array_equal(found.outputs[output.name], reals[0].astype(np.float32))


def test_a_file_of_an_older_edgekit_runs_and_is_not_verified(exported: Path, tmp_path: Path) -> None:
    """Version 1 of the metadata said nothing of outputs: those files give logits."""
    onnx = pytest.importorskip("onnx")
    source = next(exported.glob("*.int8.onnx"))
    model = onnx.load(source)
    for entry in model.metadata_props:
        if entry.key == metadata.KEY:
            about = json.loads(entry.value) | {"schema_version": 1}
            entry.value = json.dumps({key: value for key, value in about.items() if key not in {"outputs", "batch"}})
    onnx.save(model, tmp_path / source.name)
    shutil.copy(source.with_suffix(".edgekit"), tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    with Opened(tmp_path / source.name) as older, Opened(source) as newer:
        for found, expected in zip(older.of_pixels(pixels), newer.of_pixels(pixels), strict=True):
            np.testing.assert_array_equal(found.outputs["logits"], expected.outputs["logits"])
    result = verify([tmp_path / source.name], config.load(None))
    (problem,) = [gate.problem for file in result.files for gate in file.gates if not gate.passed]
    assert (
        problem
        == "it was written by an older edgekit, whose files do not say what they give: export it again to verify it"
    )


@pytest.mark.parametrize("batch", [1, 3])
def test_a_batch_that_is_fixed(heads: Path, tmp_path: Path, batch: int) -> None:
    """Every format declares it, and answers the same integers as image by image."""
    flags = heads_of(heads, batch=batch, precisions=["int8"], out=tmp_path / "out")
    flags["calibration"] = {"ranges": heads / "exported" / "net.ranges.json"}
    export(config.load(None, flags))
    model = IntegerModel.load(tmp_path / "out" / "net.int8.edgekit")
    pixels = np.load(heads / "images.npy")[:4]  # one more than the file takes
    expected = compare.reference_outputs(model, pixels)
    for kind in KINDS:
        path = tmp_path / "out" / f"net.int8.{kind}"
        summary = format_of(path).read(path)
        assert summary.metadata is not None
        assert summary.metadata.batch == batch
        assert {end.shape[0] for end in (*summary.inputs, *summary.outputs)} == {batch}
        for make in all_runners(path):
            with make() as runner:
                if runner.differs_because is None:
                    found = compare.run_integers(runner, summary.metadata, model, pixels)
                    for name, values in expected.items():
                        np.testing.assert_array_equal(found[name], values, err_msg=f"{runner.name}: {name}")
        assert format_of(path).differences(path, model) == ()
