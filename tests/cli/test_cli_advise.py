"""``edgekit advise``."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("torch")

from edgekit.pipeline.choosing.store import Row, Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result


@pytest.fixture
def swept(tmp_path: Path) -> None:
    """A sweep of three cells."""
    store = Store(tmp_path / "runs")
    one = Row("", "", None, 1.0, "", None, "int8", "tflite", "here", metric="top1", images=100, size_bytes=10**6)
    one = replace(one, runner="LiteRT", machine="a Pi", checkpoint="a.safetensors", file="f.int8.tflite")
    store.show(
        replace(one, key=size, network=f"net_{size}", resolution=size, accuracy=accuracy, latency_ms=ms)
        for size, accuracy, ms in (("96", 60.0, 4.0), ("128", 65.0, 8.0), ("160", 68.0, 16.0))
    )
    store.close()


@pytest.mark.usefixtures("swept")
def test_the_best_is_told_with_reasons_and_its_command(run: Callable[..., Result], tmp_path: Path) -> None:
    result = run("advise", "--from", "runs", "--goal", "fps=100", "--report", "page.html")
    assert result.exit_code == 0, result.output
    assert "100 images a second, 10 ms an image" in result.stdout
    first = next(line for line in result.stdout.splitlines() if line.startswith("1 "))
    assert first.split() == ["1", "net_128", "int8", "tflite", "universal", "65", "8", "1", "MB"]
    assert "8 ms, 20% below the limit; the most accurate of 2 that fit" in result.stdout
    assert "16 ms are 1.60 times the limit" in result.stdout
    assert "edgekit export a.safetensors --target tflite --int8 --set model.resolution=128" in result.stdout
    page = (tmp_path / "page.html").read_text()
    assert "top1 over latency" in page
    assert "--set model.resolution=128" in page


@pytest.mark.usefixtures("swept")
def test_json_has_all_of_it(run: Callable[..., Result]) -> None:
    found = json.loads(run("advise", "--from", "runs", "--goal", "battery", "--json").stdout)
    assert [one["candidate"]["network"] for one in found["ranked"]] == ["net_128", "net_160", "net_96"]
    assert [one["fits"] for one in found["ranked"]] == [True, True, False]
    assert found["best"]["candidate"]["latency_from"] == "measured on a Pi in LiteRT"


def test_what_is_wrong_is_said_in_a_sentence(run: Callable[..., Result]) -> None:
    for arguments, said in (
        (("--goal", "fast"), "choose from fps=30"),
        (("--goal", "fps=30"), "no device is named"),
        (("--from", "nowhere"), "nowhere holds no sweep"),
        (("--goal", "fps=30", "--device", "missing.json"), "missing.json does not exist"),
    ):
        result = run("advise", *arguments)
        assert result.exit_code == 2
        assert said in result.stderr.replace("\n", " ")
