"""``edgekit reproduce`` as users call it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

for needed in ("torch", "safetensors", "onnx", "onnxruntime", "onnxsim", "ai_edge_litert", "coremltools"):
    pytest.importorskip(needed)

from edgekit.pipeline.proving.reproduce import RebuiltFile, Reproduction  # noqa: E402 - after what may be missing

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result

    Run = Callable[..., Result]

NAME = "mobilenet_v3_digits_1.0_32"
MANIFEST = Path("exported", f"{NAME}.manifest.json")


@pytest.fixture(scope="module")
def kept(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a quick export; to be read, not written to."""
    from edgekit import config
    from edgekit.defaults import CONFIG
    from edgekit.pipeline.making.export import export

    flags: dict[str, dict[str, object]] = {
        "calibration": {"ranges": exported / f"{NAME}.ranges.json"},
        "export": {"targets": ["tflite"], "precisions": ["int8"], "verify": False},
    }
    folder = tmp_path_factory.mktemp("kept") / "exported"
    flags["export"]["out"] = folder
    return export(config.load(CONFIG, flags)).manifest.parent


@pytest.fixture
def reproduce(run: Run, kept: Path) -> Callable[..., Result]:
    """Reproduces a copy of the export in the working directory, from where its ranges are not found any more."""
    shutil.copytree(kept, "exported")

    def call(*arguments: object) -> Result:
        return run("reproduce", MANIFEST, "--ranges", MANIFEST.parent / f"{NAME}.ranges.json", *arguments)

    return call


def test_the_same_bytes(reproduce: Callable[..., Result]) -> None:
    result = reproduce("--out", "again")
    assert result.exit_code == 0, result.stderr
    assert re.fullmatch(r"✔ byte-identical, 3 files \(\d+ s\) → again\n", result.stdout)
    assert result.stderr.splitlines() == ["checking the inputs", "loading", "writing"]
    for name in (f"{NAME}.int8.tflite", f"{NAME}.int8.edgekit", f"{NAME}.ranges.json"):
        assert Path("again", name).read_bytes() == Path("exported", name).read_bytes()


def test_what_differs(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgekit.pipeline.proving import reproduce

    files = [RebuiltFile("net.int8.onnx", identical=True, difference=None)]
    files += [RebuiltFile("net.int8.tflite", identical=False, difference="scale of [0]: 2 instead of 1")]
    found = Reproduction(MANIFEST, "net", ("torch: 1.0 then, 2.0 now",), (), tuple(files), None, 1.0)
    monkeypatch.setattr(reproduce, "reproduce", lambda *_args, **_options: found)
    result = run("reproduce", MANIFEST)
    assert result.exit_code == 1
    assert result.stderr == "torch: 1.0 then, 2.0 now\n"
    assert result.stdout.splitlines() == [
        "net.int8.tflite  scale of [0]: 2 instead of 1",
        "✘ 1 of 2 files not the same bytes (1 s)",
    ]


def test_other_inputs(reproduce: Callable[..., Result]) -> None:
    Path("labels.txt").write_text("\n".join("9876543210"))
    result = reproduce("--labels", "labels.txt")
    assert result.exit_code == 1
    said, conclusion = result.stdout.splitlines()
    assert said.startswith("the file of labels labels.txt is not the one of then")
    assert conclusion == "✘ other inputs give other files: nothing was rebuilt"
    found = json.loads(reproduce("--labels", "labels.txt", "--json").stdout)
    assert set(found) == {
        *("schema_version", "command", "manifest", "network", "notes", "inputs", "files", "out", "seconds", "passed"),
    }
    assert (found["passed"], found["files"], len(found["inputs"])) == (False, [], 1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--ranges", "gone.json"), "if it has moved, --ranges FILE says where to"),
        (("--calib", "gone"), "--calib is given, and nothing of that kind was read then"),
        (("--out", "exported"), "choose another --out"),
    ],
)
def test_what_cannot_work_is_refused(
    reproduce: Callable[..., Result], arguments: tuple[object, ...], said: str
) -> None:
    result = reproduce(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr


def test_what_is_no_manifest(run: Run) -> None:
    result = run("reproduce", "none.json")
    assert result.exit_code == 2
    assert "none.json does not exist: name the *.manifest.json beside exported files" in result.stderr
