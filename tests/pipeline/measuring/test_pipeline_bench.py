"""Bench: which files take part, and what they are compared with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgekit.config import BenchSettings
from edgekit.device.plan import PlannedFile
from edgekit.errors import ArtifactError
from edgekit.pipeline.measuring import bench as module
from edgekit.pipeline.measuring.bench import bench, plan
from edgekit.runtimes.planned import planned_file

if TYPE_CHECKING:
    from edgekit.device.plan import Plan


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    out = tmp_path / "exported"
    out.mkdir()
    for name in (
        "net.float32.tflite",
        "net.int8.tflite",
        "net.float16.tflite",
        "net.int8.onnx",
        "x.onnx",
        "net.int8.edgekit",
        "net.ranges.json",
    ):
        (out / name).touch()
    (out / "net.int8.mlpackage").mkdir()
    return out


def compared(found: Plan) -> dict[str, str | None]:
    """Names of the files, and of what each is compared with."""
    return {Path(file.path).name: file.baseline and Path(file.baseline).name for file in found.files}


def test_a_folder(folder: Path) -> None:
    found = plan([folder], BenchSettings(threads=(2,), batches=(1, 8), laps=3))
    assert compared(found.plan) == {
        "net.int8.onnx": None,
        "x.onnx": None,
        "net.float16.tflite": "net.float32.tflite",
        "net.float32.tflite": None,
        "net.int8.tflite": "net.float32.tflite",
    }
    assert list(compared(found.plan)) == sorted(compared(found.plan), key=lambda name: (Path(name).suffix, name))
    assert (found.plan.threads, found.plan.batches, found.plan.laps) == ((2,), (1, 8), 3)
    assert found.extras == ()
    assert [path.name for path in found.left_out] == ["net.int8.mlpackage"]


def test_what_a_shell_makes_of_a_name(folder: Path) -> None:
    (folder / "net.manifest.json").touch()
    found, whole = plan(sorted(folder.glob("net.*")), BenchSettings()), plan([folder], BenchSettings())
    assert set(compared(found.plan)) == set(compared(whole.plan)) - {"x.onnx"}
    assert found.left_out == whole.left_out == (folder / "net.int8.mlpackage",)


def test_all_threads_are_the_devices_to_count(folder: Path) -> None:
    assert plan([folder], BenchSettings(threads="all")).plan.threads == ()


def test_the_float_twin_comes_along(folder: Path) -> None:
    found = plan([folder / "net.int8.tflite", folder / "net.int8.tflite"], BenchSettings())
    assert compared(found.plan) == {"net.int8.tflite": "net.float32.tflite", "net.float32.tflite": None}
    assert found.extras == (str(folder / "net.float32.tflite"),)
    assert compared(plan([folder / "net.int8.onnx"], BenchSettings()).plan) == {"net.int8.onnx": None}  # it has none


def test_a_twin_that_is_named_is_no_extra(folder: Path) -> None:
    found = plan([folder / "net.float32.tflite", folder / "net.int8.tflite"], BenchSettings())
    assert compared(found.plan) == {"net.float32.tflite": None, "net.int8.tflite": "net.float32.tflite"}
    assert found.extras == ()


def test_against_another_file(folder: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.onnx"
    theirs.touch()
    found = plan([folder / "net.int8.tflite", folder / "x.onnx"], BenchSettings(), against=theirs)
    assert compared(found.plan) == {"net.int8.tflite": "theirs.onnx", "x.onnx": "theirs.onnx", "theirs.onnx": None}
    assert found.extras == (str(theirs),)
    itself = plan([folder / "x.onnx"], BenchSettings(), against=folder / "x.onnx")
    assert (compared(itself.plan), itself.extras) == ({"x.onnx": None}, ())


def test_what_is_planned_of_a_file(folder: Path) -> None:
    int8 = planned_file(folder / "net.int8.tflite")
    assert int8 == PlannedFile(str(folder / "net.int8.tflite"), "litert", precision="int8")
    assert planned_file(folder / "x.onnx") == PlannedFile(str(folder / "x.onnx"), "onnxruntime")
    assert planned_file(folder / "net.int8.mlpackage") is None
    with pytest.raises(ArtifactError, match=r"y\.pt does not exist"):
        planned_file(folder / "y.pt")


def test_what_cannot_be_timed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path, said in (
        (folder / "net.int8.mlpackage", "needs an Apple system to run: time it in Xcode"),
        (folder / "net.int8.edgekit", "is no file that edgekit exports"),
        (tmp_path / "nothing", "nothing does not exist"),
        (tmp_path / "nothing.onnx", "nothing.onnx does not exist"),
        (tmp_path / "empty", "there is no file to time in"),
    ):
        with pytest.raises(ArtifactError, match=said):
            plan([path], BenchSettings())
    with pytest.raises(ArtifactError, match="there is no file to time in nothing"):
        plan([], BenchSettings())
    with pytest.raises(ArtifactError, match="needs an Apple system to run"):
        plan([folder], BenchSettings(), against=folder / "net.int8.mlpackage")


def test_the_plan_is_measured(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = next(exported.glob("*.int8.tflite"))
    results = bench([file], BenchSettings(laps=1)).results
    twin = next(exported.glob("*.float32.tflite"))
    assert [row.path for row in results.rows] == [str(file), str(twin)]
    monkeypatch.setattr(module, "measure", lambda *_: replace(results, laps=7))
    found = bench([file], BenchSettings())
    assert (found.results.laps, found.extras) == (7, (str(twin),))
