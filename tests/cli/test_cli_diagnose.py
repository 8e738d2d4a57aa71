"""The diagnosis on a terminal, as JSON and as a page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

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
        ([str(CHECKPOINT), "other.pth"], "other.pth does not exist"),
        ([str(CHECKPOINT), str(CHECKPOINT)], "are two networks"),
        ([str(CHECKPOINT)], "--data DIR"),
    ],
)
def test_mistakes_are_told_in_a_sentence(said: list[str], problem: str) -> None:
    found = CliRunner().invoke(app, ["diagnose", *said])
    assert found.exit_code == 2
    assert problem in " ".join(found.output.split())


def test_a_checkpoint_that_diverged_is_told_with_what_its_log_says(tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(CHECKPOINT, "pt") as held:
        weights = {name: held.get_tensor(name) for name in held.keys()}  # noqa: SIM118 - no mapping
        about = held.metadata()
    weights["features.0.0.weight"][0] = float("nan")
    save_file(weights, tmp_path / "best.safetensors", about)
    rows = [f"{epoch},8,{loss},10,{int(epoch == 1)},1" for epoch, loss in ((1, 2.3), (2, 1e9), (3, 1e20))]
    (tmp_path / "log.csv").write_text("\n".join(["epoch,lr,loss,top1,best,seconds", *rows, ""]), encoding="utf-8")
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    found = CliRunner().invoke(app, ["diagnose", str(tmp_path), "--data", str(CHECKPOINT.with_name("test.npz"))])
    assert found.exit_code == 2
    said = " ".join(found.output.split())
    assert "holds NaN or infinity" in said
    assert "training-diverged" in said
    assert "--lr 0.8" in said


def test_images_whose_classes_are_others_have_no_tick(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), np.uint8)
    for number, pixels in enumerate(images):
        path = tmp_path / "data" / ("daisy", "rose")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    said = ["diagnose", str(CHECKPOINT), "--data", str(tmp_path / "data"), "--no-timing", "--insist"]
    found = CliRunner().invoke(app, [*said, "--resize", "whole", "--preprocessing", "tf"])
    assert "no accuracy is measured" in " ".join(found.output.split())
    assert "✔" not in found.output
