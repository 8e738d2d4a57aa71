"""``edgekit profile`` as users call it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("ai_edge_litert")

from edgekit.pipeline.measuring import profile as profiles
from edgekit.timing.roofline import Roofline

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result

    Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def _known_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Roofline("a machine", "a runtime", "int8", 1, 100.0, ((2**16, 50.0),))
    monkeypatch.setattr(profiles, "roofline", lambda *_, **__: machine)


def test_a_table_and_a_picture(run: Run, exported: Path) -> None:
    result = run("profile", next(exported.glob("*.int8.tflite")), "--runs", "8", "--picture", "profile.svg")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].endswith("ms a run")
    assert "8 runs under LiteRT's profiler in turns with as many without" in lines[1]
    assert lines[2].startswith("the machine at best: 100 GMAC/s, 50 GB/s from its caches")
    assert lines[3].startswith("the 15 longest of ")
    assert len(lines[lines.index("together") :]) > 5
    assert lines[-2].startswith("everything")
    assert "kernels, together" in lines[-1]
    assert "drawn: profile.svg" in result.stderr
    assert Path("profile.svg").read_text(encoding="utf-8").startswith("<svg")


def test_two_files_are_compared_and_a_page_is_written(run: Run, exported: Path) -> None:
    paths = [next(exported.glob(f"*.{precision}.tflite")) for precision in ("float32", "int8")]
    result = run("profile", *paths, "--runs", "4", "--report", "page.html")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    at = next(place for place, line in enumerate(lines) if line.startswith("side by side"))
    assert lines[at + 1].split() == ["layer", "float32.tflite", "int8.tflite", "faster"]
    assert "Time of each layer" in Path("page.html").read_text(encoding="utf-8")
    assert "report: page.html" in result.stderr


def test_what_cannot_be_profiled_is_refused_before_the_first_run(run: Run, exported: Path) -> None:
    path = next(exported.glob("*.int8.tflite"))
    result = run("profile", path, "nosuch.onnx")
    assert (result.exit_code, "profil" in result.stdout) == (2, False)
    assert "nosuch.onnx does not exist" in result.stderr
    result = run("profile", next(exported.glob("*.int8.onnx")), "--node-data", "data.json")
    assert result.exit_code == 2
    assert ".tflite files alone" in " ".join(result.stderr.split())


def test_node_data_has_the_microseconds_of_operators(run: Run, exported: Path) -> None:
    path = next(exported.glob("*.int8.tflite"))
    found = json.loads(run("profile", path, "--runs", "4", "--node-data", "data.json", "--json").stdout)
    (graph,) = json.loads(Path("data.json").read_text(encoding="utf-8")).values()
    wanted = {
        one["tensor"]: pytest.approx(one["us"], rel=1e-4) for one in found["files"][0]["operators"] if one["tensor"]
    }
    assert {name: value["value"] for name, value in graph["results"].items()} == wanted


def test_all_layers_in_order(run: Run, exported: Path) -> None:
    lines = run("profile", next(exported.glob("*.int8.tflite")), "--runs", "4", "--all").stdout.splitlines()
    shown = [line.split()[0] for line in lines[5 : lines.index("together")]]
    assert (shown[0], shown[1], shown[-1]) == ("input", "features.0.0", "output")


def test_json(run: Run, exported: Path) -> None:
    found = json.loads(run("profile", next(exported.glob("*.int8.tflite")), "--runs", "4", "--json").stdout)
    (file,) = found["files"]
    assert file["source"] == "LiteRT's profiler"
    assert {"layer", "kind", "us", "calls", "macs", "intensity", "gmacs", "efficiency", "bound"} <= set(
        file["layers"][0]
    )
    assert file["roofline"]["peak_gmacs"] == 100.0
    assert file["total"]["us"] == pytest.approx(sum(entry["us"] for entry in file["operators"]))


def test_a_picture_is_an_svg_file(run: Run, exported: Path) -> None:
    result = run("profile", next(exported.glob("*.int8.tflite")), "--picture", "a.png")
    assert "--picture a.svg" in result.stderr


def test_one_picture_shows_one_file(run: Run, exported: Path) -> None:
    result = run("profile", *sorted(exported.glob("*.tflite")), "--picture", "profile.svg")
    assert result.exit_code == 2
    assert "--picture and --node-data show one file" in result.stderr
