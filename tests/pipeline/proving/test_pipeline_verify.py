"""Verify: what is compared with what, and what a failure looks like."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from edgekit import config
from edgekit.config import Settings
from edgekit.defaults import CHECKPOINT, CONFIG, FOLDER
from edgekit.errors import ArtifactError, ConfigError, DataError
from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import IoDtype, Precision
from edgekit.exporters.onnx import codec as onnx_exporter
from edgekit.integer_model import OUTPUTS, IntegerModel
from edgekit.pipeline.making.source import open_source
from edgekit.pipeline.proving.verify import are_shipped, verify
from edgekit.reports import findings, junit
from edgekit.runtimes import processor
from edgekit.runtimes.processor import lacks_vnni
from edgekit.tasks.values import measured_as
from edgekit.verification.integer_parity import IntegerParity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgekit.pipeline.proving.verdicts import FileVerdict

for needed in ("torch", "safetensors", "onnx", "onnxruntime", "onnxsim", "ai_edge_litert", "coremltools"):
    pytest.importorskip(needed)

NAME = "mobilenet_v3_digits_1.0_32"


def on(images: int = 8, **sections: dict[str, Any]) -> Settings:
    """Settings with labelled images."""
    return config.load(None, {"verify": {"data": FOLDER / "test.npz", "images": images}, **sections})


def problems(file: FileVerdict) -> list[str]:
    return [gate.problem for gate in file.gates if not gate.passed]


@pytest.fixture
def model(exported: Path) -> IntegerModel:
    return IntegerModel.load(exported / f"{NAME}.int8.edgekit")


@pytest.fixture
def alone(exported: Path, tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder of some of the files, without the manifest beside them."""

    def copied(*names: str) -> Path:
        for name in names:
            source = exported / f"{NAME}.{name}"
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, tmp_path / source.name)
        return tmp_path

    return copied


def test_a_whole_folder(exported: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    result = verify([exported], on(20), progress=lambda *step: seen.append(step))
    assert result.passed
    assert not result.noise
    assert result.images == 20
    assert [step for step in seen if step[0] == "verifying"] == [("verifying", done, 20) for done in (0, 8, 16, 20)]
    assert seen[-1][1] == seen[-1][2]
    assert len(result.files) == 12
    for file in result.files:
        assert file.summary is not None
        runtimes = {"onnx": 3, "tflite": 1, "torch": 1, "coreml": 1}[file.summary.format]
        runtimes += file.path.name == f"{NAME}.int8.tflite"  # its other kernels, for the record
        runtimes += file.path.name == f"{NAME}.int8.pt" and lacks_vnni()  # the engine that needs none
        assert len(file.parities) == runtimes
        assert measured_as("top1", file.measured) is not None
        if ".int8." in file.path.name:
            assert all(isinstance(p, IntegerParity) and p.values == 200 for p in file.parities)
        clamped = lacks_vnni() and file.path.name in {f"{NAME}.int8.onnx", f"{NAME}.int8.pt"}
        assert file.is_proven is not clamped
    # The manifest beside the files leads to the checkpoint, and that is said.
    assert result.float_reference == CHECKPOINT
    assert any(f"{NAME}.manifest.json names" in note for note in result.notes)
    assert result.integer_reference == exported / f"{NAME}.int8.edgekit"
    assert [verdict.path for verdict in result.references] == [exported / f"{NAME}.int8.edgekit", CHECKPOINT]
    assert not any(verdict.failed for verdict in result.references)


def test_without_the_checkpoint_a_float32_file_is_the_reference(alone: Callable[..., Path]) -> None:
    result = verify([alone("float32.onnx", "float16.tflite", "float32.tflite")], on(20))
    assert result.passed
    (reference,) = (file for file in result.files if file.is_reference)
    assert result.float_reference == reference.path
    assert (reference.passed, reference.failed) == (False, False)  # it does not prove itself
    assert [one.metric.name for one in reference.measured] == ["top1", "top5"]
    assert result.float_measured == reference.measured
    assert not result.is_proven
    assert not any(file.is_proven for file in result.files)


def test_with_the_checkpoint_every_float_file_is_compared(exported: Path) -> None:
    paths = [exported / f"{NAME}.{name}" for name in ("float32.onnx", "float16.tflite", "int8.tflite")]
    result = verify(paths, on(model={"checkpoint": CHECKPOINT}))
    assert result.float_reference == CHECKPOINT
    assert [file.passed for file in result.files] == [True] * 3
    alike = [measured_as("agreement", file.measured) for file in result.files]
    assert [found.value for found in alike if found] == [100.0] * 3
    assert result.float_measured


def test_the_checkpoint_is_read_as_the_export_read_it(exported: Path, tmp_path: Path) -> None:
    from edgekit.pipeline.making.export import export

    given = {"checkpoint": CHECKPOINT, "padding": "same", "insist": True}  # the file says symmetric
    out = {"targets": ["tflite"], "out": tmp_path}
    export(config.load(None, {"model": given, "preprocessing": {"resize": "whole"}, "export": out}))
    (file,) = verify([tmp_path], on(model={"checkpoint": CHECKPOINT})).files  # nothing is said of padding
    assert file.passed


def test_the_manifest_leads_to_a_checkpoint_in_a_folder(tmp_path: Path) -> None:
    from edgekit.pipeline.making.export import export

    folder, out = tmp_path / "hub", tmp_path / "exported"
    folder.mkdir()
    weights, said = folder / "model.safetensors", folder / "config.json"
    shutil.copy(CHECKPOINT, weights)
    said.write_text("{}")
    settings: dict[str, Any] = {"model": {"checkpoint": folder}, "export": {"targets": ["tflite"], "out": out}}
    export(config.load(None, {**settings, "preprocessing": {"resize": "whole", "mean": (0.5,), "std": (0.5,)}}))
    unchecked = "the model itself was not checked"
    result = verify([out], on())
    assert result.passed
    assert result.float_reference == folder
    assert not any(warning.startswith(unchecked) for warning in result.warnings)
    # It is the weights that have to be the same, and a folder without config.json is no checkpoint.
    said.unlink()
    assert any(warning.startswith(unchecked) for warning in verify([out], on()).warnings)
    said.write_text("{}")
    weights.write_bytes(weights.read_bytes() + b"\0")
    assert any(warning.startswith(unchecked) for warning in verify([out], on()).warnings)


def test_noise_where_no_images_are_named(exported: Path) -> None:
    result = verify([exported / f"{NAME}.int8.tflite"], Settings())
    assert result.passed
    assert (result.noise, result.images) == (True, 16)
    assert measured_as("top1", result.files[0].measured) is None


@pytest.mark.parametrize("name", ["float32.onnx", "float32.mlpackage", "float16.tflite"])
def test_nothing_compared_is_nothing_proven(alone: Callable[..., Path], name: str) -> None:
    result = verify([alone(name)], on())
    assert not result.passed
    assert not any(file.failed for file in result.files)


def other_model(model: IntegerModel) -> IntegerModel:
    """The same network, with another scale at its end."""
    return replace(model, provenance={**model.provenance, "calibration": {"digest": "another"}})


def test_a_file_of_another_integer_model_is_not_run(exported: Path, model: IntegerModel, tmp_path: Path) -> None:
    path = tmp_path / f"{NAME}.int8.onnx"
    onnx_exporter.write_integer_model(other_model(model), path, io_dtype=IoDtype.FLOAT32)
    result = verify([path, exported / f"{NAME}.int8.tflite", exported / f"{NAME}.int8.edgekit"], on())
    assert [file.passed for file in result.files] == [False, True]
    (problem,) = problems(result.files[0])
    assert problem.startswith("it comes from another integer model than the reference, the first difference being")
    assert "provenance.calibration.digest: 'another' instead of" in problem
    assert result.files[0].parities == ()
    final = replace(model, provenance={**model.provenance, OUTPUTS: "final"})
    onnx_exporter.write_integer_model(final, path, io_dtype=IoDtype.FLOAT32)
    result = verify([path, exported / f"{NAME}.int8.edgekit"], on())
    (problem,) = problems(result.files[0])
    assert problem.startswith("it gives final outputs, and the reference raw ones: verify each export by itself")


def test_the_model_beside_the_file_is_the_reference(exported: Path, model: IntegerModel, tmp_path: Path) -> None:
    shutil.copy(exported / f"{NAME}.int8.tflite", tmp_path)
    with pytest.raises(ArtifactError, match=rf"{NAME}\.int8\.edgekit is missing: name the integer model"):
        verify([tmp_path / f"{NAME}.int8.tflite"], on())
    named = exported / f"{NAME}.int8.edgekit"
    assert verify([tmp_path / f"{NAME}.int8.tflite", named], on()).integer_reference == named
    other_model(model).save(tmp_path / f"{NAME}.int8.edgekit")
    assert not verify([tmp_path / f"{NAME}.int8.tflite"], on()).passed


def test_another_checkpoint_is_noticed(exported: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(CHECKPOINT)
    weights["classifier.3.bias"] += 1
    with pytest.importorskip("safetensors").safe_open(CHECKPOINT, "pt") as file:
        save_file(weights, tmp_path / "other.safetensors", file.metadata())
    result = verify([exported / f"{NAME}.int8.tflite"], on(model={"checkpoint": tmp_path / "other.safetensors"}))
    (problem,) = problems(result.files[0])
    assert problem.startswith(f"it was exported from another checkpoint than {tmp_path / 'other.safetensors'}")
    assert result.images == 0


def test_float_operators_in_an_int8_file_fail(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgekit.exporters.format import Format

    read = Format.read
    monkeypatch.setattr(Format, "read", lambda form, path: replace(read(form, path), float_operators=("SOFTMAX",)))
    (file,) = verify([exported / f"{NAME}.int8.tflite"], on()).files
    assert problems(file) == ["SOFTMAX computes in float"]
    assert file.parities == ()


def test_a_damaged_file_fails_and_the_others_are_verified(exported: Path, tmp_path: Path) -> None:
    for name in ("int8.tflite", "int8.onnx", "int8.edgekit"):
        shutil.copy(exported / f"{NAME}.{name}", tmp_path)
    damaged = tmp_path / f"{NAME}.int8.onnx"
    damaged.write_bytes(damaged.read_bytes()[:-1000])
    result = verify([tmp_path], on())
    assert [file.passed for file in result.files] == [False, True]
    assert "damaged or truncated: export it again" in problems(result.files[0])[0]
    assert not verify([damaged], on()).passed
    with pytest.raises(ArtifactError, match="does not exist"):
        verify([tmp_path / "missing.onnx"], on())


def test_a_file_with_stale_metadata_fails(exported: Path, model: IntegerModel, tmp_path: Path) -> None:
    stale = replace(model, preprocessing=replace(model.preprocessing, resize=40))
    path = tmp_path / "stale.int8.onnx"
    onnx_exporter.write_integer_model(stale, path, io_dtype=IoDtype.FLOAT32)
    (file,) = verify([path, exported / f"{NAME}.int8.edgekit"], on()).files
    assert not file.passed
    assert "metadata" in problems(file)[0]


def test_limits_of_the_task(exported: Path) -> None:
    paths = [exported / f"{NAME}.int8.tflite"]
    limits = {"limits.top1": 100.0, "limits.drop": -50.0, "limits.sqnr_db": 99.0, "limits.top5": 1.0}
    settings = config.load(
        None,
        {"verify": {"data": FOLDER / "test.npz", "images": 100, **limits}, "model": {"checkpoint": CHECKPOINT}},
    )
    (file,) = verify(paths, settings).files
    failed = {gate.name for gate in file.gates if not gate.passed}
    assert failed == {"top-1", "drop of top-1", "SQNR of the logits"}
    drop = measured_as("drop", file.measured)
    assert drop is not None
    assert drop.low is not None
    assert drop.high is not None
    assert drop.low <= drop.value <= drop.high


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ({"topp1": 1.0}, r"verify\.limits\.topp1: classification has no such metric: did you mean 'top1'\?"),
        ({"top1": 750.0}, r"verify\.limits\.top1 is 750: percent, 0 to 100, are wanted"),
    ],
)
def test_limits_of_something_else_are_refused(exported: Path, limit: dict[str, float], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        verify([exported / f"{NAME}.int8.tflite"], config.load(None, {"verify": {"limits": limit}}))


@pytest.mark.parametrize("target", ["onnx", "tflite"])
def test_a_failure_of_kernels_that_clamp_names_the_way_out(
    exported: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    monkeypatch.setattr(processor, "lacks_vnni", lambda: True)
    wanted = {"data": FOLDER / "test.npz", "images": 50, "limits.sqnr_db": 99.0}
    settings = config.load(None, {"verify": wanted, "model": {"checkpoint": CHECKPOINT}})
    (file,) = verify([exported / f"{NAME}.int8.{target}"], settings).files
    (problem,) = problems(file)
    assert ("Measured in ONNX Runtime" in problem and "edgekit export --device x86" in problem) == (target == "onnx")


@pytest.mark.parametrize("target", ["onnx", "pt", "tflite"])
def test_no_tick_where_the_default_runtime_need_not_give_the_integers(
    exported: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    monkeypatch.setattr(processor, "lacks_vnni", lambda: True)
    result = verify([exported / f"{NAME}.int8.{target}"], on(8, model={"checkpoint": CHECKPOINT}))
    (file,) = result.files
    assert result.passed
    assert file.passed
    assert file.is_proven is (target == "tflite")
    if target == "tflite":
        return
    assert file.measured_in is not None
    assert file.measured_in in file.unclaimed
    (warning,) = file.warnings
    assert warning.startswith(f"{file.measured_in}, the default on this machine, need not give the file's integers: ")
    # The table of files says in what the integers are identical, and in what they need not be.
    proof, default = findings.worst_parity(file).split("; ")
    assert proof.startswith("100 % identical in ")
    assert proof.endswith({"onnx": ", DISABLE_ALL", "pt": ", qnnpack"}[target])
    assert default.endswith(f" in {file.measured_in}, the default on this machine")


def test_what_was_not_measured_is_a_warning(exported: Path, tmp_path: Path) -> None:
    file, checkpoint = exported / f"{NAME}.int8.tflite", {"checkpoint": CHECKPOINT}
    result = verify([file], config.load(None, {"model": checkpoint}))
    (noise,) = result.warnings
    assert noise.startswith("no images were named (--data DIR): compared on noise")
    for number in range(6):  # of classes whose names tell nothing, of images that are none of a digit
        folder = tmp_path / "abc"[number % 3]
        folder.mkdir(exist_ok=True)
        Image.fromarray(np.full((32, 32, 3), 40 * number, np.uint8)).save(folder / f"{number}.png")
    result = verify([file], config.load(None, {"verify": {"data": tmp_path}, "model": checkpoint}))
    assert not result.float_measured
    (unread,) = result.unmeasured
    assert "so no accuracy is measured; it takes labels.csv beside the images" in unread
    assert unread in result.warnings
    assert "warning" in findings.conclusion(result)
    assert findings.outcome(result) in {findings.WARNED, findings.FAILED}
    assert junit.render(result).count("<skipped") >= 1


def test_a_limit_that_cannot_be_measured_fails(exported: Path) -> None:
    (file,) = verify([exported / f"{NAME}.int8.tflite"], config.load(None, {"verify": {"limits.top1": 10.0}})).files
    (problem,) = problems(file)
    assert "top-1 has a limit and was not measured: give labelled images" in problem


def test_images_on_which_int8_and_float_differ(exported: Path) -> None:
    settings = on(100, model={"checkpoint": CHECKPOINT})
    result = verify([exported / f"{NAME}.int8.onnx"], settings)
    (file,) = result.files
    assert result.differences is not None
    differ = sum(len(pair.images) for pair in result.differences.disagreements)
    agreement = measured_as("agreement", file.measured)
    assert agreement is not None
    assert agreement.value == pytest.approx(100 - differ)
    assert all(pair.expected != pair.found for pair in result.differences.disagreements)
    assert len(result.pictures) == 24
    assert len({picture.name for picture in result.pictures}) == 24
    assert all(picture.pixels.shape == (32, 32, 3) for picture in result.pictures)


def test_files_of_two_networks_are_refused(exported: Path, model: IntegerModel, alone: Callable[..., Path]) -> None:
    tmp_path, changed = alone("float32.onnx"), {"checkpoint_sha256": "0" * 64}
    floats, stranger = open_source(config.load(CONFIG)).float_model, tmp_path / "stranger.float32.tflite"
    stranger_model = replace(floats, provenance={**floats.provenance, **changed})
    FORMATS["tflite"].write_float_model(stranger_model, stranger, precision=Precision.FLOAT32)
    with pytest.raises(ArtifactError, match="are of two networks: name the files of one of them"):
        verify([tmp_path], on())
    shutil.copy(exported / f"{NAME}.float16.onnx", tmp_path)  # two against one
    assert [file.path for file in verify([tmp_path], on()).files if file.failed] == [stranger]
    other = replace(model, provenance={**model.provenance, **changed})
    other.save(tmp_path / "other.int8.edgekit")
    with pytest.raises(ArtifactError, match="are of two networks"):
        verify([exported, tmp_path], on())


def test_the_shipped_network_is_recognised(exported: Path, model: IntegerModel, tmp_path: Path) -> None:
    assert are_shipped([exported])
    other = replace(model, provenance={**model.provenance, "checkpoint_sha256": "0" * 64})
    onnx_exporter.write_integer_model(other, tmp_path / "other.int8.onnx", io_dtype=IoDtype.FLOAT32)
    assert not are_shipped([tmp_path])
    assert not are_shipped([exported, tmp_path])


def test_a_folder_of_two_networks_is_refused_with_the_way_out(exported: Path, tmp_path: Path) -> None:
    for path in exported.glob("*.float32.tflite"):
        shutil.copy(path, tmp_path)
        shutil.copy(path, tmp_path / "other.float32.tflite")
    shutil.copy(exported / f"{NAME}.manifest.json", tmp_path)
    shutil.copy(exported / f"{NAME}.manifest.json", tmp_path / "other.manifest.json")
    for asked in (lambda: verify([tmp_path], on()), lambda: are_shipped([tmp_path])):
        with pytest.raises(ArtifactError, match=rf"2 networks, {NAME}, other: name the files of one .*{NAME}\.\*$"):
            asked()
    named = sorted(tmp_path.glob(f"{NAME}.*"))  # as a shell gives it, with what lies beside the files
    assert [file.path.name for file in verify(named, on()).files] == [f"{NAME}.float32.tflite"]


def test_what_is_named_twice_is_verified_once(exported: Path) -> None:
    path = exported / f"{NAME}.int8.tflite"
    assert len(verify([path, path], on()).files) == 1


def test_a_foreign_file_is_refused(exported: Path, tmp_path: Path) -> None:
    import onnx

    foreign = onnx.load(exported / f"{NAME}.float32.onnx")
    del foreign.metadata_props[:]
    onnx.save(foreign, tmp_path / "foreign.onnx")
    with pytest.raises(ArtifactError, match=r"foreign\.onnx was not written by edgekit"):
        verify([tmp_path / "foreign.onnx"], on())


def test_images_that_do_not_fit(exported: Path, tmp_path: Path) -> None:
    path = exported / f"{NAME}.int8.tflite"
    np.savez(tmp_path / "labelled.npz", images=np.zeros((2, 8, 8, 3), np.uint8), labels=np.array([0, 10]))
    with pytest.raises(DataError, match="the label 10, and the network has 10 classes"):
        verify([path], config.load(None, {"verify": {"data": tmp_path / "labelled.npz"}}))
    with pytest.raises(DataError, match="a number of images is given, but no images"):
        verify([path], config.load(None, {"verify": {"images": 3}}))
    (tmp_path / "broken.png").touch()
    with pytest.raises(DataError, match="cannot be used"):
        verify([path], config.load(None, {"verify": {"data": tmp_path / "broken.png", "strict": True}}))
