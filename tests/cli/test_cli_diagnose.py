"""The diagnosis on a terminal, as JSON and as a page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

for needed in ("torch", "safetensors"):
    pytest.importorskip(needed)

from typer.testing import CliRunner  # noqa: E402 - after what may be missing

from edgekit.cli.app import app  # noqa: E402 - likewise
from edgekit.defaults import CHECKPOINT, FOLDER  # noqa: E402 - likewise

if TYPE_CHECKING:
    from pathlib import Path


def test_a_trouble_is_named_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with np.load(FOLDER / "test.npz") as test:
        labels = np.select([test["labels"] == 4, test["labels"] == 9], [9, 4], test["labels"])
        np.savez(tmp_path / "test.npz", images=test["images"], labels=labels)
    page = tmp_path / "page.html"
    said = ["diagnose", str(CHECKPOINT), "--data", str(tmp_path / "test.npz"), "--images", "200", "--no-timing"]
    said += ["--resize", "whole", "--preprocessing", "tf"]
    shown = CliRunner().invoke(app, [*said, "--report", str(page)])
    assert shown.exit_code == 0, shown.output
    assert "✘ swapped-labels: The labels of class 4 and class 9 are exchanged." in shown.output
    assert "is taken for" in shown.output
    assert "swapped-labels" in page.read_text()
    printed = CliRunner().invoke(app, [*said, "--json"])
    found = json.loads(printed.stdout)
    assert [one["trouble"] for one in found["findings"]] == ["swapped-labels"]
    assert "np.select([l == 4, l == 9], [9, 4], l)" in found["findings"][0]["remedy"]
    assert found["layers"][0]["channels"] > 0


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (["nowhere.pth", "--data", "x"], "nowhere.pth does not exist"),
        (["--report", "page.pdf"], "is no page"),
        ([str(CHECKPOINT), "other.pth"], "are two networks"),
        ([str(CHECKPOINT)], "--data DIR"),
    ],
)
def test_mistakes_are_told_in_a_sentence(said: list[str], problem: str) -> None:
    found = CliRunner().invoke(app, ["diagnose", *said])
    assert found.exit_code == 2
    assert problem in " ".join(found.output.split())
