"""What travels to a device: names, golden outputs, and an archive that does all of it by itself."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.device.plan import Plan, PlannedFile
from edgekit.errors import ArtifactError, ConfigError, MissingDependency
from edgekit.exporters.metadata import Precision
from edgekit.pipeline.measuring import bundle as module
from edgekit.pipeline.measuring.bench import load
from edgekit.pipeline.measuring.bundle import bundle, images, pack, tolerances
from edgekit.runtimes import processor
from edgekit.runtimes.planned import planned_file
from edgekit.suppression import Ending, Suppression

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def planned(*paths: Path, **options: Any) -> Plan:
    return Plan(tuple(PlannedFile(str(path), "onnxruntime", precision="float32") for path in paths), **options)


def array(contents: bytes) -> NDArray[Any]:
    found: NDArray[Any] = np.load(io.BytesIO(contents))
    return found


def run(archive: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """As somebody does on a device, from another folder."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if "site-packages" in path)}
    command = [sys.executable, *options, archive.name]
    return subprocess.run(
        command, cwd=archive.parent, env=environment, capture_output=True, text=True, check=False, encoding="utf-8"
    )


def test_a_plan_and_what_it_needs(net: Path) -> None:
    luggage = pack(planned(net))
    (file,) = luggage.plan.files
    assert file.path == net.name
    assert file.golden is not None
    assert luggage.contents[net.name] == net.read_bytes()
    assert luggage.paths == {net.name: net}
    assert luggage.unchecked == {}
    assert Plan.from_json(luggage.contents["plan.json"].decode()) == luggage.plan
    (golden,) = file.golden.outputs.values()
    inputs, outputs = (array(luggage.contents[name]) for name in (file.golden.inputs, golden.array))
    assert (inputs.shape, inputs.dtype.name, outputs.shape) == ((4, 3, 8, 8), "float32", (4, 10))
    assert 0 < golden.tolerance < 1e-3 * np.abs(outputs).max()


def test_a_processor_that_clamps_sums_still_knows_what_devices_answer(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every claimed runner gives the reference's integers: those of XNNPACK, which never clamps, are the oracle."""
    monkeypatch.setattr(processor, "lacks_vnni", lambda: True)
    paths = [next(exported.glob(f"*.int8.{suffix}")) for suffix in ("tflite", "onnx", "pt")]
    files = [file for path in paths if (file := planned_file(path)) is not None]
    luggage = pack(Plan(tuple(files)))
    assert luggage.unchecked == {}
    goldens = [file.golden.outputs["logits"] for file in luggage.plan.files if file.golden is not None]
    assert [golden.tolerance for golden in goldens] == [0, 0, 0]
    expected, *others = (array(luggage.contents[golden.array]) for golden in goldens)
    for outputs in others:
        np.testing.assert_array_equal(outputs, expected)


def test_on_such_a_processor_nothing_is_known_of_anothers_integers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx = pytest.importorskip("onnx")
    helper, types = onnx.helper, onnx.TensorProto
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["x"], ["y"])],
        "theirs",
        [helper.make_tensor_value_info("x", types.UINT8, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", types.UINT8, [1, 192])],
    )
    path = tmp_path / "theirs.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    for lacks in (True, False):
        monkeypatch.setattr(processor, "lacks_vnni", lambda lacks=lacks: lacks)
        unchecked = pack(planned(path)).unchecked
        assert any("clamp sums" in why for why in unchecked.values()) is lacks


def test_files_of_one_name(net: Path, tmp_path: Path) -> None:
    """They keep apart, and so do their baselines; what both have to answer travels once."""
    paths = [tmp_path / name / "net.onnx" for name in ("a", "b")]
    for path in paths:
        path.parent.mkdir()
        shutil.copy(net, path)
    plan = planned(*paths)
    plan = replace(plan, files=(replace(plan.files[0], baseline=str(paths[1])), plan.files[1]))
    luggage = pack(plan)
    assert [file.path for file in luggage.plan.files] == ["a/net.onnx", "b/net.onnx"]
    assert luggage.plan.files[0].baseline == "b/net.onnx"
    assert len(luggage.contents) == 1 + 2 + 2


def test_images_are_the_same_everywhere_and_not_all_alike() -> None:
    pixels = images(16, 24, 3)
    assert pixels.shape == (4, 16, 24, 3)
    assert (pixels[:, ::2, ::3] == pixels[:, 1::2, 2::3]).all()  # patches
    assert pixels.std() > 50
    assert (images(16, 24, 3) == pixels).all()


def test_a_file_that_cannot_be_run_here_is_timed_all_the_same(net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> object:
        raise MissingDependency("onnxruntime is not installed")

    monkeypatch.setattr(module, "open_file", missing)
    luggage = pack(planned(net))
    assert luggage.plan.files[0].golden is None
    assert luggage.unchecked == {net.name: "onnxruntime is not installed"}


def test_a_damaged_file_goes_nowhere(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"no network")
    with pytest.raises(ArtifactError, match="refuses"):
        pack(planned(tmp_path / "net.onnx"))


def test_a_bundle_runs_by_itself(net: Path, tmp_path: Path) -> None:
    archive = tmp_path / "bench.pyz"
    written = bundle(planned(net, laps=1), archive)
    assert (written.files, written.size_bytes) == ((net.name,), archive.stat().st_size)
    done = run(archive)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == f"ok     {net.name}: 4 images, 40 outputs as they have to be"
    assert lines[2].split() == ["file", "threads", "batch", "p50", "ms", "interval", *lines[2].split()[6:]]
    assert lines[3].startswith(net.name)
    assert lines[-1] == f"written: {tmp_path / 'bench.json'}"
    assert done.stdout.isascii()
    (row,) = load(tmp_path / "bench.json").results.rows
    assert row.path == net.name


def test_a_bundle_that_is_wrong_there(net: Path, tmp_path: Path) -> None:
    archive = tmp_path / "bench.pyz"
    bundle(planned(net), archive)
    with zipfile.ZipFile(archive) as old:
        contents = {name: old.read(name) for name in old.namelist()}
    outputs = json.loads(contents["plan.json"])["files"][0]["golden"]["outputs"]["y"]["array"]
    contents[outputs] = contents[outputs][:-1] + bytes([contents[outputs][-1] ^ 0x40])
    with zipfile.ZipFile(archive, "w") as new:
        for name, content in contents.items():
            new.writestr(name, content)
    done = run(archive)
    assert done.returncode == 1
    assert f"WRONG  {net.name}: 1 of 40 outputs differ" in done.stdout
    assert "nothing was timed" in done.stderr
    assert not (tmp_path / "bench.json").exists()


def test_a_bundle_without_a_runtime(net: Path, tmp_path: Path) -> None:
    archive = tmp_path / "bench.pyz"
    bundle(planned(net), archive)
    done = run(archive, "-I", "-S")
    assert done.returncode == 3
    assert "has no onnxruntime: " in done.stderr


def test_what_is_no_bundle_and_what_are_no_results(net: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a bundle's name ends with \.pyz"):
        bundle(planned(net), tmp_path / "bench.zip")
    with pytest.raises(ArtifactError, match=r"nothing\.json cannot be read"):
        load(tmp_path / "nothing.json")
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(ArtifactError, match=r"other\.json holds no results: python3 NAME\.pyz writes them"):
        load(tmp_path / "other.json")


def test_a_bundle_that_is_ended_leaves_nothing(net: Path, tmp_path: Path) -> None:
    archive, temporary = tmp_path / "bench.pyz", tmp_path / "temporary"
    temporary.mkdir()
    bundle(planned(net, laps=1000), archive)
    environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen([sys.executable, archive], env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"ok")  # and now it is timed
        process.terminate()
        assert process.wait(30) == 128 + signal.SIGTERM
    assert list(temporary.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bench.pyz", "temporary"]


@pytest.mark.parametrize(
    ("precision", "kept", "expected"),
    [
        (Precision.INT8, [], {"light": 0.25, "detection_scores": 1e-5, "mask": 0.0}),
        (Precision.INT8, ["features.0"], {"light": 0.25}),
        (Precision.FLOAT32, [], {"light": 1e-4}),
    ],
)
def test_boxes_and_classes_are_asked_for_where_integers_decide_them(
    precision: Precision, kept: list[str], expected: dict[str, float]
) -> None:
    ending = Ending("corners", "probabilities", "", Suppression(0.3, 0.5, 2))
    about = SimpleNamespace(provenance={"suppression": [ending.to_dict()], "kept_float": kept})
    given = {
        "light": np.array([[-1.0, 1.0]], np.float32),
        "detection_scores": np.array([[0.9, 0.8]], np.float32),
        "mask": np.zeros((1, 2, 2), np.int32),
    }
    found = tolerances(given, about, precision, is_exact=False)  # type: ignore[arg-type] # of it, a provenance is read
    assert found == pytest.approx(expected)
