"""Compiling for an NPU, with the real compiler."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgekit.errors import ArtifactError, ConfigError, GateFailed
from edgekit.exporters.formats import format_of
from edgekit.exporters.metadata import IoDtype
from edgekit.exporters.tflite import reader
from edgekit.integer_model import IntegerModel
from edgekit.pipeline.making.compile import HardwareChoice
from edgekit.pipeline.making.compile import compile as compile_for_npu

pytest.importorskip("ethosu.vela", reason="ethos-u-vela is not installed: pip install 'edgekit[ethos-u]'")

if TYPE_CHECKING:
    from edgekit.pipeline.making.compile import CompiledFile

NAME = "mobilenet_v3_digits_1.0_32"


@pytest.fixture(scope="module")
def whole(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped network as ``--device ethos-u55`` has it: int8 at the boundary, the integer model beside."""
    folder = tmp_path_factory.mktemp("ethos-u")
    saved = exported / f"{NAME}.int8.edgekit"
    path = folder / f"{NAME}.int8.tflite"
    format_of(path).write_integer_model(IntegerModel.load(saved), path, io_dtype=IoDtype.INT8)
    (folder / saved.name).write_bytes(saved.read_bytes())
    return path


def compiled(source: Path, folder: Path, **options: object) -> CompiledFile:
    (file,) = compile_for_npu([source], "ethos-u55", folder / "compiled", **options).files  # type: ignore[arg-type]
    return file


def test_everything_runs_on_the_npu(whole: Path, tmp_path: Path) -> None:
    result = compile_for_npu([whole], "ethos-u55", tmp_path / "compiled")
    (file,) = result.files
    assert result.compiler.startswith("ethos-u-vela 5.")
    assert file.path == tmp_path / "compiled" / f"{NAME}.int8.ethos-u55-256_vela.tflite"
    assert [(o.operator, o.name) for o in file.operators] == list(reader.operators(whole))
    assert file.on_npu == len(file.operators)
    assert {kind for kind, _ in reader.operators(file.path)} == {"ethos-u"}
    assert sum(operator.cycles for operator in file.operators) == file.estimates.cycles > 0
    assert file.estimates.inference_seconds == pytest.approx(file.estimates.cycles / file.estimates.clock_hz)
    layers = {node.name for node in IntegerModel.load(whole.with_suffix(".edgekit")).graph}
    assert {operator.layer for operator in file.operators} <= layers


def test_the_compiled_file_takes_and_says_what_its_source_does(whole: Path, tmp_path: Path) -> None:
    before, after = (format_of(path).read(path) for path in (whole, compiled(whole, tmp_path).path))
    assert (after.inputs, after.outputs) == (before.inputs, before.outputs)
    assert after.metadata == before.metadata
    assert before.metadata is not None
    assert before.metadata.labels


def test_the_conversions_of_a_float_boundary_stay_on_the_processor(exported: Path, tmp_path: Path) -> None:
    file = compiled(exported / f"{NAME}.int8.tflite", tmp_path, hardware=HardwareChoice("ethos-u55-128"))
    first, second, last = (operator for operator in file.operators if not operator.on_npu)
    assert (first.operator, second.operator, last.operator) == ("ADD", "QUANTIZE", "DEQUANTIZE")
    assert "unsupported DataType Float32" in first.reason
    assert "unsupported DataType Float32" in second.reason
    assert "Unsupported opType" in last.reason
    assert first.remedy == second.remedy == last.remedy
    assert "--io-dtype int8, as --device ethos-u55 does" in first.remedy
    assert file.path.name.endswith(".ethos-u55-128_vela.tflite")


def test_nothing_is_left_of_a_float_file(exported: Path, tmp_path: Path) -> None:
    float32 = exported / f"{NAME}.float32.tflite"
    with pytest.raises((GateFailed, ArtifactError), match=r"float32\.tflite"):
        compiled(float32, tmp_path)
    assert not (tmp_path / "compiled").exists()


def test_of_a_folder_the_files_with_integers_are_taken(exported: Path, tmp_path: Path) -> None:
    result = compile_for_npu([exported], "ethos-u85", tmp_path, optimise="size")
    assert [file.source.name for file in result.files] == [f"{NAME}.int8.tflite"]
    assert result.hardware.accelerator == "ethos-u85-256"


def test_what_cannot_be_compiled(whole: Path, exported: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(ArtifactError, match="damaged or truncated"):
        compiled(cut, tmp_path)
    with pytest.raises(ArtifactError, match="is compiled already"):
        compiled(compiled(whole, tmp_path).path, tmp_path)
    with pytest.raises(ArtifactError, match="is ONNX, and the compiler takes TFLite files"):
        compiled(exported / f"{NAME}.int8.onnx", tmp_path)


@pytest.mark.parametrize(
    ("device", "options", "said"),
    [
        ("edgetpu", {}, "no compiler for Coral Edge TPU: it compiles for ethos-u55, ethos-u65, ethos-u85"),
        ("ethos-u55", {"npu": "ethos-u55-25"}, "did you mean 'ethos-u55-256'"),
        ("ethos-u55", {"vela_config": Path("nowhere.ini")}, "nowhere.ini does not exist"),
        ("ethos-u55", {"memory_mode": "Shared"}, "Section Memory_Mode.Shared not found"),
    ],
)
def test_hardware_that_there_is_not(
    device: str, options: dict[str, Any], said: str, whole: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=said):
        compile_for_npu([whole], device, tmp_path, hardware=HardwareChoice(**options))
