"""``edgekit predict`` and ``edgekit config``: a first look at what a file answers, and at what is set."""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING

import numpy as np

from edgekit.defaults import FOLDER
from edgekit.runtimes import processor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

    Run = Callable[..., Result]

NAME = "mobilenet_v3_digits_1.0_32"


def test_a_file_answers_what_it_was_trained_for(run: Run, exported: Path, tmp_path: Path) -> None:
    from PIL import Image

    with np.load(FOLDER / "test.npz") as arrays:
        image, label = arrays["images"][0], int(arrays["labels"][0])
    Image.fromarray(image).save(tmp_path / "digit.png")
    for name in ("int8.tflite", "float32.onnx", "int8.mlpackage"):
        done = run("predict", exported / f"{NAME}.{name}", tmp_path / "digit.png", "--json")
        assert done.exit_code == 0, done.output
        found = json.loads(done.stdout)
        assert found["images"][0]["answer"]["best"][0]["index"] == label, name
        assert found["images"][0]["name"] == "digit.png"
        assert not found["differs"]
    done = run("predict", exported / f"{NAME}.int8.onnx", tmp_path / "digit.png")
    assert ("the default on this machine, need not give the file's integers" in done.stderr) == processor.lacks_vnni()
    done = run("predict", exported / f"{NAME}.int8.tflite", tmp_path / "digit.png", FOLDER / "test.npz", "--top", 1)
    assert done.exit_code == 0, done.output
    assert done.stdout.count("test.npz[") == 360
    assert f"digit.png      {label} " in done.stdout
    assert not re.search(r"\bor\b", done.stdout)
    done = run("predict", exported / f"{NAME}.int8.tflite", tmp_path / "digit.png", "--draw", tmp_path / "drawn")
    assert done.exit_code == 2
    assert "--draw shows boxes and masks, and this file answers neither" in done.stderr


def test_what_cannot_be_asked_is_said(run: Run, net: Path, tmp_path: Path) -> None:
    done = run("predict", net, FOLDER / "test.npz")
    assert done.exit_code == 2
    assert "was not written by edgekit: it does not say how images are read" in done.stderr
    done = run("predict", tmp_path / "no.tflite", FOLDER / "test.npz")
    assert done.exit_code == 2
    assert "does not exist" in done.stderr


def test_settings_are_shown_with_where_they_come_from(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("[export]\nio_dtype = 'uint8'\n", encoding="utf-8")
    done = run("config", "-c", tmp_path / "a.toml", "--set", "bench.laps=3", "export", "bench.laps")
    assert done.exit_code == 0, done.output
    assert f'io_dtype = "uint8" ({tmp_path}/a.toml)' in done.stdout
    assert "laps = 3 (--set bench.laps)" in done.stdout
    assert "fresh processes of each file" in done.stdout
    assert "[model]" not in done.stdout
    found = json.loads(run("config", "-c", tmp_path / "a.toml", "export.io_dtype", "--json").stdout)["settings"]
    assert [(one["name"], one["value"]) for one in found] == [("export.io_dtype", "uint8")]


def test_a_file_to_start_from_is_written_once(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "edgekit.toml"
    done = run("config", "--write", path, "--set", "model.bn_eps=1e-3")
    assert done.exit_code == 0, done.output
    assert tomllib.loads(path.read_text())["model"] == {"bn_eps": 1e-3}
    done = run("config", "--write", path)
    assert done.exit_code == 2
    assert "exists: name another file" in done.stderr
    done = run("config", "exprot")
    assert "there is no setting exprot: did you mean 'export'?" in done.stderr
