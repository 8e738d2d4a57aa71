"""Bench: which files take part, and what they are compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgekit.benchmarks.latency import Latency
from edgekit.config import BenchSettings
from edgekit.errors import ArtifactError
from edgekit.pipeline import bench as module
from edgekit.pipeline.bench import bench

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MEDIANS = {"float32": 4.0, "float16": 3.0, "int8": 1.0}


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were to be timed; int8 is four times as fast as float32."""
    names: list[str] = []

    def measure(paths: Sequence[Path], *, threads: int, runs: int, **_: object) -> tuple[Latency, ...]:
        names.extend(path.name for path in paths)
        p50 = {path: next((ms for name, ms in MEDIANS.items() if name in path.name), 2.0) for path in paths}
        return tuple(Latency(path, "fake", threads, runs, p50[path], 5.0, 6.0, 1.0, None, ()) for path in paths)

    monkeypatch.setattr(module, "measure", measure)
    return names


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


def test_a_folder(folder: Path, timed: list[str]) -> None:
    result = bench([folder], BenchSettings(threads=2, runs=7, warmup=3))
    assert timed == ["net.float16.tflite", "net.float32.tflite", "net.int8.onnx", "net.int8.tflite", "x.onnx"]
    assert [row.float_ratio for row in result.rows] == [0.75, None, None, 0.25, None]
    assert not any(row.twin for row in result.rows)
    assert [path.name for path in result.left_out] == ["net.int8.mlpackage"]
    assert {(row.latency.threads, row.latency.runs) for row in result.rows} == {(2, 7)}
    assert result.warmup == 3


def test_the_float_twin_comes_along(folder: Path, timed: list[str]) -> None:
    result = bench([folder / "net.int8.tflite", folder / "net.int8.tflite"], BenchSettings())
    assert timed == ["net.int8.tflite", "net.float32.tflite"]
    assert [(row.float_ratio, row.twin) for row in result.rows] == [(0.25, False), (None, True)]
    assert len(bench([folder / "net.int8.onnx"], BenchSettings()).rows) == 1  # it has none


def test_a_twin_that_is_named_is_no_extra(folder: Path, timed: list[str]) -> None:
    rows = bench([folder / "net.float32.tflite", folder / "net.int8.tflite"], BenchSettings()).rows
    assert [(row.float_ratio, row.twin) for row in rows] == [(None, False), (0.25, False)]
    assert len(timed) == 2


def test_what_cannot_be_timed(folder: Path, tmp_path: Path, timed: list[str]) -> None:
    (tmp_path / "empty").mkdir()
    for path, said in (
        (folder / "net.int8.mlpackage", "needs an Apple system to run: time it in Xcode"),
        (folder / "net.int8.edgekit", "is no file that edgekit exports"),
        (tmp_path / "nothing", "nothing does not exist"),
        (tmp_path / "empty", "there is no file to time in"),
    ):
        with pytest.raises(ArtifactError, match=said):
            bench([path], BenchSettings())
    with pytest.raises(ArtifactError, match="there is no file to time in nothing"):
        bench([], BenchSettings())
    assert timed == []
