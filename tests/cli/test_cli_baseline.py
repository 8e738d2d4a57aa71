"""``edgekit baseline`` as users call it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

for needed in ("torch", "safetensors", "onnx", "onnxruntime", "onnxsim", "ai_edge_litert", "coremltools"):
    pytest.importorskip(needed)

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result

    Run = Callable[..., Result]

NAME = "mobilenet_v3_digits_1.0_32.int8"


def test_what_is_kept_and_what_changed(run: Run, exported: Path) -> None:
    tflite, package = exported / f"{NAME}.tflite", exported / f"{NAME}.mlpackage"
    first = run("baseline", tflite)
    assert (first.exit_code, first.stderr) == (0, "measuring\n")
    assert re.search(rf"{NAME}\.tflite  \d+ kB  ([\d.]+ MiB|–)  100 %\n✔ 1 file kept in baseline\n$", first.stdout)

    second = run("baseline", tflite, package)
    assert second.exit_code == 0
    _, *lines = second.stdout.splitlines()
    assert lines[1::2] == ["  the same bytes as before", "  new"]
    assert re.fullmatch(rf"{NAME}\.mlpackage +\d+ kB +– +100 %", lines[2])
    assert lines[-1] == "✔ 2 files kept in baseline"

    third = run("baseline", package)
    assert third.stdout.splitlines()[-2:] == [f"no longer kept: {NAME}.tflite", "✔ 1 file kept in baseline"]


def test_json(run: Run, exported: Path) -> None:
    found = json.loads(run("baseline", exported / f"{NAME}.mlpackage", "--out", "kept", "--json").stdout)
    assert set(found) == {"schema_version", "command", "folder", "files", "before"}
    assert (found["command"], found["folder"], found["before"]) == ("baseline", "kept", {})
    (file,) = found["files"].values()
    assert set(file) == {"sha256", "size_bytes", "int8_share", "memory_mib", "runner", "accuracy"}
    assert json.loads(Path("kept/baseline.json").read_text(encoding="utf-8"))["files"] == found["files"]


def test_what_would_be_lost_is_not_replaced(run: Run, exported: Path) -> None:
    Path("baseline").mkdir()
    Path("baseline/notes.txt").touch()
    result = run("baseline", exported / f"{NAME}.mlpackage")
    assert result.exit_code == 2
    assert "baseline/notes.txt is no part of the baseline" in result.stderr
