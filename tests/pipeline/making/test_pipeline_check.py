"""Files against the rules of devices, and exporting for a device."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit import config
from edgekit.calibration.saved import load
from edgekit.defaults import FOLDER
from edgekit.errors import ArtifactError, ConfigError, GateFailed
from edgekit.exporters.formats import format_of
from edgekit.integer_model import IntegerModel
from edgekit.ir import Conv2d, Linear
from edgekit.pipeline.making.check import check, departures, told
from edgekit.pipeline.making.export import export
from edgekit.pipeline.proving.verify import verify
from edgekit.profiles.checks import Finding
from edgekit.profiles.profile import names, profile
from edgekit.verification.float_parity import FloatParity
from edgekit.verification.integer_parity import IntegerParity

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edgekit.config import Settings

    MakeSettings = Callable[..., Settings]

for needed in ("torch", "safetensors", "onnx", "onnxruntime", "onnxsim", "ai_edge_litert", "coremltools"):
    pytest.importorskip(needed)

NAME = "mobilenet_v3_digits_1.0_32"


# --- check ------------------------------------------------------------------------------------------------------------


def test_of_a_folder_those_that_the_device_runs(exported: Path) -> None:
    result = check([exported], "edgetpu")
    assert result.device is profile("edgetpu")
    found = {file.path.name: file for file in result.files}
    assert set(found) == {f"{NAME}.{precision}.tflite" for precision in ("float32", "float16", "int8")}
    assert not result.passed
    assert not found[f"{NAME}.float32.tflite"].passed
    int8 = found[f"{NAME}.int8.tflite"]
    assert int8.passed  # its float32 boundary makes it slower, no more
    assert {finding.rule.name for finding in int8.findings} == {"boundary"}
    assert int8.operators == len(format_of(int8.path).contents(int8.path).operators)


def test_layers_are_named(exported: Path, tmp_path: Path) -> None:
    """Also of a file alone: it says itself which layers its operators come from."""
    layers = {node.name for node in IntegerModel.load(exported / f"{NAME}.int8.edgekit").graph}
    (alone,) = check([Path(shutil.copy(exported / f"{NAME}.int8.onnx", tmp_path))], "x86").files
    assert {finding.layer for finding in alone.findings} <= layers


def test_a_file_that_is_named_has_to_be_of_a_format_that_runs(exported: Path) -> None:
    said = r"int8\.onnx is ONNX, and Coral Edge TPU runs TFLite files: edgekit export --device edgetpu writes them"
    with pytest.raises(ArtifactError, match=said):
        check([exported, exported / f"{NAME}.int8.onnx"], "edgetpu")


def test_a_folder_without_such_files(exported: Path, tmp_path: Path) -> None:
    shutil.copy(exported / f"{NAME}.int8.tflite", tmp_path)
    with pytest.raises(ArtifactError, match="is TFLite, and Qualcomm Hexagon, HTP runs ONNX files"):
        check([tmp_path], "hexagon-htp")


@pytest.mark.parametrize("device", [name for name in names() if not profile(name).rules])
def test_a_device_without_rules(device: str, exported: Path) -> None:
    with pytest.raises(ConfigError, match="there are no rules of") as refused:
        check([exported], device)
    asked = profile(device).compiler is not None
    assert (f"edgekit compile FILE --device {device}" in str(refused.value)) == asked


def test_an_unknown_device(exported: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean"):
        check([exported], "edgtpu")


def test_a_sentence_a_rule() -> None:
    operators, boundary = (rule for rule in profile("edgetpu").rules if rule.name in {"operators", "boundary"})
    found = [Finding(operators, "HARD_SWISH", f"n{i}", f"features.{i}", "HARD_SWISH") for i in (1, 2, 3, 4, 4)]
    found.append(Finding(boundary, None, None, None, "it takes float32"))
    first, second = told(found)
    assert first.startswith("layer features.1, features.2, features.3, …: HARD_SWISH. An operator that the Edge TPU")
    assert first.endswith("edgekit export CHECKPOINT --device edgetpu --calib DIR")
    assert second.startswith("it takes float32. The conversions")
    assert told([]) == []


# --- export -----------------------------------------------------------------------------------------------------------


def for_device(settings: MakeSettings, device: str, **sections: dict[str, Any]) -> Settings:
    """The shipped settings, which name neither formats nor precisions."""
    given = sections.pop("export", {})
    unnamed = {"targets": None, "precisions": None}
    return settings(export=unnamed | {"device": device} | given, **sections)


def test_a_device_is_enough(settings: MakeSettings, tmp_path: Path) -> None:
    result = export(for_device(settings, "raspberrypi4"))
    (file,) = result.files
    assert (file.path, result.device) == (tmp_path / "out" / f"{NAME}.int8.tflite", "Raspberry Pi 4")
    about = file.summary.metadata
    assert about is not None
    assert about.provenance["device"] == "raspberrypi4"
    assert (about.lowering, about.io_dtype) == ("universal", "int8")
    assert isinstance(file.parity, IntegerParity)
    assert file.parity.identical == 1.0
    assert not any("Raspberry" in note for note in result.notes)
    assert check([file.path], "raspberrypi4").passed


def test_every_universal_device_has_the_same_integers(settings: MakeSettings, tmp_path: Path) -> None:
    found = []
    for device in ("raspberrypi4", "hexagon-htp"):
        out = tmp_path / device
        export(for_device(settings, device, export={"out": out, "verify": False}))
        found.append(IntegerModel.load(out / f"{NAME}.int8.edgekit").graph.constants)
    one, other = found
    assert all((array == other[name]).all() for name, array in one.items())


def test_what_is_given_wins_and_is_told(settings: MakeSettings) -> None:
    result = export(for_device(settings, "edgetpu", export={"io_dtype": "float32", "verify": False}))
    departed, slower = result.notes[-2:]
    assert departed.startswith("export.io_dtype is float32, where the profile of Coral Edge TPU has int8: the conv")
    assert slower.startswith(f"{NAME}.int8.tflite on Coral Edge TPU (predicted): ")
    assert "--io-dtype int8" in slower


def test_fewer_formats_are_no_departure(settings: MakeSettings) -> None:
    assert departures(for_device(settings, "x86-vnni", export={"targets": ["onnx"]})) == ()
    (told,) = departures(for_device(settings, "x86-vnni", export={"targets": ["onnx", "torch"]}))
    assert told.startswith("export.targets is onnx, torch, where the profile of x86-64 with VNNI has onnx, tflite")
    assert departures(settings()) == ()


@pytest.mark.parametrize(
    ("device", "given", "said"),
    [
        ("edgetpu", {"targets": ["tflite", "onnx"]}, "Coral Edge TPU runs tflite files, not onnx: leave it out of exp"),
        ("edgetpu", {"precisions": ["float32"]}, r"runs int8 files, not float32: leave it out of export\.precisions"),
        ("apple-neural-engine", {"targets": ["tflite"]}, "Apple Neural Engine runs coreml files, not tflite"),
    ],
)
def test_what_a_device_never_runs_is_refused_first(
    settings: MakeSettings, device: str, given: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=said):
        export(for_device(settings, device, export=given))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("device", "calibration", "said"),
    [
        (
            "edgetpu",
            {"keep_float": ["features.1"]},
            r"Coral Edge TPU \(predicted\).*: layer features\.1\..*--keep-float",
        ),
        ("x86", {"weight_bits": 8}, r"is not for x86-64 without VNNI \(predicted\).*--device x86"),
    ],
)
def test_a_file_that_breaks_a_rule_is_not_published(
    settings: MakeSettings, device: str, calibration: dict[str, Any], said: str, tmp_path: Path
) -> None:
    given = for_device(settings, device, calibration=calibration, export={"verify": False})
    with pytest.raises(GateFailed, match=said):
        export(calibrating(given) if given.calibration.keep_float else given)
    assert not (tmp_path / "out").exists()


def calibrating(given: Settings) -> Settings:
    """With a few images instead of the ranges of an earlier export."""
    return replace(given, calibration=replace(given.calibration, ranges=None, images=16))


def test_weights_of_seven_bits(settings: MakeSettings, tmp_path: Path) -> None:
    result = export(calibrating(for_device(settings, "x86", export={"targets": ["onnx", "tflite", "torch"]})))
    model = IntegerModel.load(tmp_path / "out" / f"{NAME}.int8.edgekit")
    assert (model.lowering, model.weight_limit) == ("seven-bit", 64)
    assert max(np.abs(array).max() for array in weights(model)) == 64
    for file in result.files:
        assert isinstance(file.parity, IntegerParity)
        assert (file.parity.exact, file.parity.identical) == (True, 1.0)
    (departed,) = result.notes[-1:]
    assert departed.startswith("export.targets is onnx, tflite, torch")
    assert result.ranges is not None
    assert load(result.ranges).options.weight_bits == 7
    again = for_device(settings, "x86", export={"out": tmp_path / "again", "verify": False})
    again = replace(again, calibration=replace(again.calibration, ranges=result.ranges))
    for file in export(again).files:
        assert (tmp_path / "out" / file.path.name).read_bytes() == file.path.read_bytes()


def test_ranges_of_other_weights_are_refused(settings: MakeSettings) -> None:
    with pytest.raises(ArtifactError, match="calibrated with another number of bits for weights"):
        export(for_device(settings, "x86"))


def weights(model: IntegerModel) -> list[NDArray[np.int8]]:
    nodes = (node for node in model.graph if isinstance(node.op, Conv2d | Linear))
    return [model.graph.constants[node.inputs[1]] for node in nodes]


def test_a_program_in_float16_is_near(settings: MakeSettings, tmp_path: Path) -> None:
    (file,) = export(for_device(settings, "apple-neural-engine")).files
    assert file.path == tmp_path / "out" / f"{NAME}.int8.mlpackage"
    assert file.summary.metadata is not None
    assert file.summary.metadata.lowering == "universal-float16"
    assert isinstance(file.parity, IntegerParity)
    assert not file.parity.exact
    assert file.parity.max_lsb > 0  # else the claim could be made
    assert not file.proven  # near, and no more
    given = {"verify": {"data": FOLDER / "test.npz", "images": 8}}
    assert verify([file.path], config.load(None, given)).passed


def test_floats_for_a_gpu(settings: MakeSettings) -> None:
    result = export(for_device(settings, "nvidia-gpu"))
    assert [file.path.name for file in result.files] == [f"{NAME}.float16.onnx", f"{NAME}.float16.pt"]
    assert all(isinstance(file.parity, FloatParity) for file in result.files)
    assert result.integer_model is None


def test_a_layout_of_torch_files(settings: MakeSettings) -> None:
    (file,) = export(settings(export={"targets": ["torch"], "torch_engine": "qnnpack"})).files
    assert file.parity is not None
    assert "qnnpack" in file.parity.runner
