"""Latency models by name: where they are kept, and what is said of names that there are none of."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from edgekit.device import machine
from edgekit.errors import ArtifactError, ConfigError
from edgekit.timing.prediction import saved
from edgekit.timing.prediction.layers import Tiling
from edgekit.timing.prediction.model import DeviceLatency, Error, Fit, LatencyModel


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "edgekit" / "devices"


@pytest.fixture
def latency() -> DeviceLatency:
    fitted = Fit(Tiling(), {"linear: calls": 1.0}, {"linear: calls": 1.0}, (1.0, 2.0), Error(4, 0.01, 0.03, 1.0))
    return DeviceLatency(machine.examine(), (LatencyModel("tflite", "LiteRT", 1, "int8", fitted),))


def test_kept_under_its_name(latency: DeviceLatency, folder: Path) -> None:
    assert saved.names() == ()
    latency.save(saved.path_of("pi-4.b"))
    assert [path.name for path in folder.iterdir()] == ["pi-4.b.latency.json"]
    assert saved.names() == ("pi-4.b",)
    assert saved.load("pi-4.b") == latency


@pytest.mark.parametrize("path", ["pi.json", "models/pi", "./pi", "/tmp/pi.json"])
def test_what_looks_like_a_file_is_one(path: str) -> None:
    assert saved.path_of(path) == Path(path)


@pytest.mark.parametrize("text", ["", "..", ".hidden", "a b", "pi@home"])
def test_what_is_no_name(text: str, folder: Path) -> None:
    with pytest.raises(ConfigError, match="names no latency model"):
        saved.path_of(text)
    assert not folder.exists()


def test_a_name_that_there_is_none_of(latency: DeviceLatency) -> None:
    with pytest.raises(ArtifactError, match=re.escape("no latency model is called 'pi'; edgekit bench --fit --out pi")):
        saved.load("pi")
    latency.save(saved.path_of("raspberrypi4"))
    with pytest.raises(ArtifactError, match="did you mean 'raspberrypi4'"):
        saved.load("raspberypi4")


def test_a_file_of_an_older_layout_says_so(latency: DeviceLatency) -> None:
    """The same version, and other fields: fitted by an edgekit under development."""
    path = saved.path_of("pi")
    latency.save(path)
    right = json.loads(path.read_text())

    def refused(values: dict[str, Any]) -> None:
        path.write_text(json.dumps(values))
        with pytest.raises(ArtifactError, match=r"another version of edgekit.*fit it anew, edgekit bench --fit --out"):
            saved.load("pi")

    refused({**right, "version": 0})
    refused({**right, "machine": {"processor": "one"}})
    (model,) = right["models"]
    refused({**right, "models": [{name: value for name, value in model.items() if name != "threads"}]})
    refused({**right, "models": [{**model, "fit": {**model["fit"], "tiling": {"rows": 4, "lanes": 2}}}]})
