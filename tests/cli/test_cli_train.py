"""``edgekit train`` as users call it, on pictures whose colour is their class."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgekit.api import train
from edgekit.config import TrainSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result

    Run = Callable[..., Result]

QUICK = ("--arch", "mobilenet_v1_cifar", "--width", "0.125", "--resolution", "16", "--batch-size", "8", "--epochs", "2")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """48 pictures of 16 x 16, in an .npz."""
    random = np.random.default_rng(0)
    labels = np.arange(48) % 2
    images = random.integers(0, 120, (48, 16, 16, 3), np.uint8)
    images[..., 0] += (130 * labels).astype(np.uint8)[:, None, None]
    np.savez(tmp_path / "data.npz", images=images, labels=labels)
    return tmp_path / "data.npz"


def test_a_run_is_told_and_ends_with_what_to_do_next(run: Run, data: Path) -> None:
    result = run("train", data, *QUICK, "--out", "runs/a [b]")
    assert result.exit_code == 0
    told = result.stderr.splitlines()
    assert "training (8)" in told
    assert sum(line.startswith("epoch ") for line in told) == 2
    assert any("learns from 38 images on" in line and "chosen on 10 others" in line for line in told)
    shown = result.stdout.splitlines()
    assert "edgekit export 'runs/a [b]' --int8" in shown[-1]
    assert any("runs/a [b]/best.safetensors" in line for line in shown)
    assert Path("runs/a [b]/curve.svg").read_text().startswith("<svg")
    again = run("train", data, *QUICK, "--out", "runs/a [b]")
    assert "this run is finished: nothing is left to train" in again.stderr
    assert again.stdout == result.stdout


def test_json_has_every_epoch(run: Run, data: Path) -> None:
    found = json.loads(run("train", data, *QUICK, "--out", "runs/a", "--json").stdout)
    assert [epoch["number"] for epoch in found["epochs"]] == [1, 2]
    assert found["best"]["measured"][0]["metric"]["name"] == "top1"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--opt", "adam"), "--opt is 'adam'"),
        (("--smoothing", "2"), "train.smoothing is 2: 0 to 1 is wanted"),
        (("--arch", "mobilenet_v2x"), "mobilenet_v2"),
        (("--aa", "strong"), "rand-mMAGNITUDE"),
        (("--accelerator", "tpu"), "--accelerator is 'tpu'"),
    ],
)
def test_mistakes_are_said(run: Run, data: Path, arguments: tuple[str, ...], said: str) -> None:
    result = run("train", data, *QUICK, *arguments)
    assert (result.exit_code, said in result.stderr) == (2, True)
    assert not Path("runs").exists()


def test_python_has_a_keyword_for_each_key() -> None:
    keywords = set(train.__annotations__) - {"return"}
    assert {field.name for field in fields(TrainSettings)} <= keywords


def test_other_commands_say_that_a_run_is_exported_first(run: Run, data: Path) -> None:
    run("train", data, *QUICK, "--out", "runs/a")
    for path in ("runs/a", "runs/a/best.safetensors"):
        for command in (("verify", path), ("bench", path), ("predict", path, data)):
            result = run(*command)
            assert (result.exit_code, f"edgekit export {path}" in result.stderr) == (2, True)
