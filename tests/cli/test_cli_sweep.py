"""``edgekit sweep``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

for needed in ("torch", "ai_edge_litert"):
    pytest.importorskip(needed)

import edgekit  # noqa: E402 - after what may be missing
from edgekit.defaults import FOLDER  # noqa: E402 - likewise

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

GRID = f"""
[grid]
checkpoint = ["{FOLDER}/digits_v3.safetensors"]
resolution = [24, 32]
target = ["tflite"]
device = ["none"]

[preprocessing]
resize = "whole"
mean = [0.5]
std = [0.5]
order = "RGB"

[verify]
data = "{FOLDER}/test.npz"
images = 40
"""


def test_a_sweep_is_measured_shown_and_drawn(
    run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "grid.toml").write_text(GRID)
    result = run("sweep", "grid.toml", "--workers", 1, "--report", "page.html")
    assert result.exit_code == 0, result.output
    assert "2 cells, 2 of them left to measure" in result.stderr
    assert "mobilenet_v3_digits_1.0_32" in result.stdout
    page = (tmp_path / "page.html").read_text()
    assert "top1 over size of the file" in page
    assert "mobilenet_v3_digits_1.0_24 float32 tflite" in page
    again = json.loads(run("sweep", "grid.toml", "--workers", 1, "--json").stdout)
    assert (again["measured"], len(again["rows"])) == (0, 2)
    assert again["rows"][1]["accuracy"] == 100
    shown = json.loads(run("sweep", "--show", "runs/sweep", "--where", "resolution = '24'", "--json").stdout)
    assert [row["key"] for row in shown["rows"]] == [again["rows"][0]["key"]]
    assert len(edgekit.sweep(show="runs/sweep").rows) == 2
    monkeypatch.setenv("COLUMNS", "80")
    assert max(map(len, run("sweep", "--show", "runs/sweep").stdout.splitlines())) <= 80


def test_what_is_wrong_is_said_in_a_sentence(run: Callable[..., Result], tmp_path: Path) -> None:
    for arguments, said in (
        ((), "no grid is named"),
        (("--show", "nowhere"), "nowhere holds no sweep"),
        (("grid.toml", "--show", "nowhere"), "--show measures nothing"),
        (("--show", "nowhere", "--report", "page.pdf"), "page.pdf is no page"),
        (("missing.toml",), "missing.toml does not exist"),
    ):
        result = run("sweep", *arguments)
        assert result.exit_code == 2
        assert said in result.stderr
    assert not list(tmp_path.iterdir())
