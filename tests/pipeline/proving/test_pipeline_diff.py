"""Diff: what is compared with what, and what is refused."""

from __future__ import annotations

import itertools
import shlex
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from edgekit.defaults import CHECKPOINT, FOLDER
from edgekit.errors import ArtifactError, DataError
from edgekit.exporters.metadata import IoDtype
from edgekit.exporters.onnx import codec as onnx_exporter
from edgekit.integer_model import IntegerModel
from edgekit.pipeline.proving import diff as module
from edgekit.pipeline.proving.diff import DiffResult, diff
from edgekit.verification.cases import Cause

if TYPE_CHECKING:
    from pathlib import Path

for needed in ("torch", "safetensors", "onnx", "onnxruntime", "onnxsim", "ai_edge_litert", "coremltools"):
    pytest.importorskip(needed)

NAME = "mobilenet_v3_digits_1.0_32"
LAYER = "features.2.block.0.0"


@pytest.fixture
def model(exported: Path) -> IntegerModel:
    return IntegerModel.load(exported / f"{NAME}.int8.edgekit")


@pytest.fixture
def faulty(exported: Path, model: IntegerModel, tmp_path: Path) -> Path:
    """An int8 file in which two channels of a layer's weights are exchanged."""
    weight = model.graph.constants[f"{LAYER}.weight"].copy()
    weight[[3, 4]] = weight[[4, 3]]
    graph = replace(model.graph, constants={**model.graph.constants, f"{LAYER}.weight": weight})
    path = tmp_path / "faulty.int8.onnx"
    onnx_exporter.write_integer_model(replace(model, graph=graph), path, io_dtype=IoDtype.FLOAT32)
    return path


def path_of(exported: Path, kind: str) -> Path:
    return exported / f"{NAME}.{kind}"


def test_integers_of_every_format_are_the_same(exported: Path, model: IntegerModel) -> None:
    kinds = ("int8.edgekit", "int8.tflite", "int8.onnx", "int8.pt", "int8.mlpackage")
    for a, b in itertools.pairwise(kinds):
        result = diff(path_of(exported, a), path_of(exported, b), images=1)
        assert result.passed
        assert result.comparable
        assert (result.images, result.noise) == (1, True)
        assert [layer.layer for layer in result.layers] == [model.graph.input, *(n.name for n in model.graph)]
        assert all(layer.identical == 1.0 for layer in result.layers)
        assert result.steepest_fall is None
        assert {"int8.edgekit": "the numpy reference"}.get(a, result.a.runner) == result.a.runner != result.b.runner


@pytest.mark.parametrize(
    ("a", "b"), [("float32.tflite", "float32.pt"), ("float32.mlpackage", "float32.onnx"), ("float32.pt", "checkpoint")]
)
def test_floats_do_not_part(exported: Path, a: str, b: str) -> None:
    result = diff(path_of(exported, a), CHECKPOINT if b == "checkpoint" else path_of(exported, b), images=1)
    assert result.passed
    assert result.comparable
    assert 0 < max(layer.max_difference for layer in result.layers) < 1e-5
    wanted = "features.1.block.0.0" if b == "checkpoint" else "features.1.block.0.2"  # only a graph knows the module
    assert wanted in {layer.layer for layer in result.layers}
    assert len(result.layers) >= 60


@pytest.mark.parametrize(("b", "turned"), [("float32.onnx", False), ("float16.mlpackage", True), ("checkpoint", False)])
def test_integers_and_floats(exported: Path, b: str, turned: bool) -> None:  # noqa: FBT001 - a column
    """The same, whichever comes first: floats are the signal."""
    paths = [path_of(exported, "int8.edgekit"), CHECKPOINT if b == "checkpoint" else path_of(exported, b)]
    result = diff(*(paths[::-1] if turned else paths), data=FOLDER / "test.npz", images=2)
    assert result.passed
    assert not result.comparable
    assert [result.a.path, result.b.path] == (paths[::-1] if turned else paths)
    assert result.layers[-1].layer == "classifier.3"
    assert 15 < result.layers[-1].sqnr_db < 60
    assert result.steepest_fall is not None


def test_a_faulty_file(exported: Path, faulty: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    good = path_of(exported, "int8.tflite")
    result = diff(good, faulty, data=FOLDER / "test.npz", images=6, progress=lambda *step: seen.append(step))
    assert not result.passed
    found = result.divergence
    assert found is not None
    assert (found.layer, found.cause, found.culprit) == (LAYER, Cause.CHANNEL_ORDER, faulty.name)
    assert seen == [("comparing", done, 6) for done in (0, 4, 6)]
    first = next(layer for layer in result.layers if layer.identical < 1)
    assert first.layer == LAYER
    assert sum(first.differences.values()) == first.values == 6 * 64 * 16 * 16
    assert result.reproduce == shlex.join(
        ["edgekit", "diff", str(good), str(faulty), "--data", str(FOLDER / "test.npz"), "--images", "6"]
    )
    # The integer model is found beside the other file, or is the other one itself.
    again = diff(faulty, path_of(exported, "int8.edgekit"), images=1)
    assert again.divergence is not None
    assert (again.divergence.layer, again.divergence.culprit) == (LAYER, faulty.name)
    shutil.copy(path_of(exported, "int8.edgekit"), faulty.with_suffix(".edgekit"))
    turned = diff(CHECKPOINT, faulty, data=FOLDER / "test.npz", images=1)
    assert turned.steepest_fall is not None
    assert turned.steepest_fall.layer == LAYER


def reproduced(result: DiffResult) -> DiffResult:
    """What the command gives that a result ends with."""
    _, _, a, b, *options = shlex.split(result.reproduce)
    given = dict(zip(options[::2], options[1::2], strict=True))
    folder = type(result.a.path)
    data = folder(given["--data"]) if "--data" in given else None
    return diff(folder(a), folder(b), data=data, images=int(given["--images"]) if "--images" in given else None)


def test_the_command_that_shows_it_again(
    exported: Path, faulty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first image, in a folder of six, in which the two channels differ; and the third of noise."""
    images = tmp_path / "some images"
    images.mkdir()
    for i in range(6):
        pixels = np.zeros((32, 32, 3), np.uint8) if i < 5 else np.random.default_rng(i).integers(0, 256, (32, 32, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(images / f"{i}.png")
    good = path_of(exported, "int8.onnx")
    result = diff(good, faulty, data=images)
    assert result.divergence is not None
    (image,) = shlex.split(result.reproduce)[-1:]
    again = reproduced(result)
    assert (again.images, again.divergence and again.divergence.layer) == (1, LAYER)
    assert image.startswith(f"{images}/")

    noise = module._noise

    def mostly_black(total: int, shape: tuple[int, int, int]) -> object:
        for batch in noise(total, shape):
            batch.pixels[:2] = 0
            yield batch

    monkeypatch.setattr(module, "_noise", mostly_black)
    result = diff(good, faulty)
    assert result.divergence is not None
    assert result.images == 4
    again = reproduced(result)
    assert again.images == result.divergence.examples[0].index[0] + 1
    assert again.divergence is not None
    assert again.divergence.examples == result.divergence.examples


def test_noise_is_the_same_however_much_there_is() -> None:
    many, few = (np.concatenate([b.pixels for b in module._noise(n, (4, 5, 3))]) for n in (6, 3))
    assert many.shape == (6, 4, 5, 3)
    np.testing.assert_array_equal(many[:3], few)
    assert [b.names for b in module._noise(5, (1, 1, 3))][1] == ("noise 4",)


def test_what_is_refused(exported: Path, model: IntegerModel, faulty: Path, tmp_path: Path) -> None:
    int8, floats = path_of(exported, "int8.tflite"), path_of(exported, "float32.onnx")
    with pytest.raises(ArtifactError, match="are checkpoints: name at least one file that edgekit export wrote"):
        diff(CHECKPOINT, CHECKPOINT)
    with pytest.raises(ArtifactError, match=r"none\.onnx does not exist"):
        diff(int8, tmp_path / "none.onnx")
    with pytest.raises(ArtifactError, match=r"faulty\.int8\.edgekit is missing: name the integer model"):
        diff(faulty, floats)
    with pytest.raises(DataError, match="does not exist"):
        diff(int8, floats, data=tmp_path / "nowhere")

    other = replace(model, provenance={**model.provenance, "checkpoint_sha256": "0" * 64})
    other.save(tmp_path / "other.int8.edgekit")
    with pytest.raises(ArtifactError, match="are of two networks: name two files of one of them"):
        diff(int8, tmp_path / "other.int8.edgekit")
    with pytest.raises(ArtifactError, match="are of two networks"):
        diff(tmp_path / "other.int8.edgekit", CHECKPOINT)

    decoded = replace(model, provenance={**model.provenance, "outputs": "decoded"})
    decoded.save(tmp_path / "decoded.int8.edgekit")
    with pytest.raises(ArtifactError, match="hold the same integers and differ in --outputs"):
        diff(int8, tmp_path / "decoded.int8.edgekit")

    again = replace(model, provenance={**model.provenance, "calibration": {"digest": "another"}})
    again.save(tmp_path / "again.int8.edgekit")
    with pytest.raises(ArtifactError, match="are one network, quantized twice"):
        diff(int8, tmp_path / "again.int8.edgekit")
    shutil.copy(tmp_path / "again.int8.edgekit", tmp_path / "faulty.int8.edgekit")
    with pytest.raises(ArtifactError, match="comes from another integer model than"):
        diff(faulty, floats)


def test_a_checkpoint_that_is_an_onnx_file(exported: Path, tmp_path: Path) -> None:
    """It is told from an exported one by what an exported one says about itself."""
    import onnx

    foreign = onnx.load(path_of(exported, "float32.onnx"))
    del foreign.metadata_props[:]
    onnx.save(foreign, tmp_path / "trained.onnx")
    with pytest.raises(ArtifactError, match="are of two networks"):
        diff(tmp_path / "trained.onnx", path_of(exported, "float32.tflite"))
