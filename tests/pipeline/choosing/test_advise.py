"""What is advised, against the best answer that going through all candidates finds."""

from __future__ import annotations

import math
import random
import shlex
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import pytest
import typer

pytest.importorskip("torch")

from edgekit.cli.app import app
from edgekit.device import machine
from edgekit.errors import ArtifactError, ConfigError
from edgekit.models.complexity import complexity
from edgekit.models.families import family_of
from edgekit.models.published import published
from edgekit.pipeline.choosing import candidates
from edgekit.pipeline.choosing.advise import advise
from edgekit.pipeline.choosing.goals import KEPT, goal
from edgekit.pipeline.choosing.store import Row, Store
from edgekit.timing.prediction.layers import Tiling
from edgekit.timing.prediction.model import DeviceLatency, Error, Fit, LatencyModel, Prediction

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgekit.models.architecture import Architecture

GOALS = ("fps=30", "fps=100", "latency=4", "latency=20", "size=0.5MB", "size=2mb", "accuracy", "battery")


def swept(folder: Path, rows: Sequence[Row]) -> Path:
    store = Store(folder)
    store.show(rows)
    store.close()
    return folder


def table(seed: int) -> list[Row]:
    """Cells whose accuracy grows with what they cost, and not always."""
    chance = random.Random(seed)
    found = []
    for number in range(60):
        ms = math.exp(chance.uniform(0, 4))
        accuracy = round(50 + 8 * math.log(ms) + chance.gauss(0, 3), 1)
        size = round(2e5 * ms ** chance.uniform(0.5, 0.9))
        precision = chance.choice(["float32", "int8"])
        found.append(
            Row(f"{number}", f"n{number}", "mobilenet_v2", 1.0, "96", None, precision, "tflite", "here", "{}", "top1",
                accuracy, 99.0, 100, size, ms, ms, ms, machine="m", runner="r", checkpoint="c.safetensors", file="f"),
        )  # fmt: skip
    return found


def best_of(rows: Sequence[Row], text: str) -> Row:
    """By the goal's own words, going through all cells."""
    kind, _, value = text.partition("=")
    top = max(row.accuracy or 0 for row in rows)
    if kind == "battery":
        return min((row for row in rows if (row.accuracy or 0) >= KEPT * top), key=lambda row: row.latency_ms or 0)
    if kind == "size":
        rows = [row for row in rows if (row.size_bytes or 0) <= float(value[:-2]) * 1e6]
    elif kind != "accuracy":
        most = 1000 / float(value) if kind == "fps" else float(value)
        rows = [row for row in rows if (row.latency_ms or 0) <= most]
    return max(rows, key=lambda row: (row.accuracy or 0, -(row.latency_ms or 0)))


@pytest.mark.parametrize("text", GOALS)
@pytest.mark.parametrize("seed", range(3))
def test_the_best_cell_of_a_sweep_comes_first(tmp_path: Path, seed: int, text: str) -> None:
    rows = table(seed)
    result = advise(text, sweep=swept(tmp_path / "s", rows))
    assert result.best is not None
    assert result.best.candidate.row == best_of(rows, text)
    fitting = [one.candidate for one in result.ranked if one.fits]
    if text == "battery":
        assert [one.latency_ms for one in fitting] == sorted(one.cost for one in fitting)
    else:
        assert [one.accuracy for one in fitting] == sorted((one.accuracy for one in fitting), reverse=True)
    assert all(one.reasons for one in result.ranked)
    assert result.device == "here (m)"


def test_what_failed_and_what_has_no_latency_is_no_answer(tmp_path: Path) -> None:
    good, failed, untimed = table(0)[:3]
    failed = replace(failed, accuracy=100.0, error="verification failed")
    untimed = replace(untimed, accuracy=99.0, latency_ms=None)
    folder = swept(tmp_path / "s", [good, failed, untimed])
    result = advise("latency=1000", sweep=folder)
    assert [one.candidate.network for one in result.ranked] == [good.network]
    assert (result.considered, result.unjudged) == (2, 1)
    assert advise("accuracy", sweep=folder).ranked[0].candidate.network == untimed.network


def test_nothing_fits_is_said_with_what_comes_nearest(tmp_path: Path) -> None:
    rows = table(1)
    result = advise("latency=0.5", sweep=swept(tmp_path / "s", rows))
    assert result.best is None
    assert result.commands == ()
    assert result.ranked[0].candidate.row == min(rows, key=lambda row: row.latency_ms or 0)
    assert "times the limit" in result.ranked[0].reasons[0]
    assert "nothing fits: allow more, or take a faster device" in result.notes


def test_int8_is_compared_with_its_float_twin(tmp_path: Path) -> None:
    same = replace(table(0)[0], network="n", accuracy=70.0, latency_ms=10.0)
    rows = [
        replace(same, key="a", precision="float32"),
        replace(same, key="b", precision="int8", accuracy=69.5, latency_ms=4.0),
    ]
    first, *_ = advise("latency=5", sweep=swept(tmp_path / "s", rows)).ranked
    assert "int8 takes 0.40 of float32's time, at -0.5 of top1" in first.reasons


@pytest.fixture
def fitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A device that takes a nanosecond a multiplication, and is predicted within 10 %."""
    fit = Fit(Tiling(), {}, {}, (1.0, 100.0), Error(100, 0.01, 0.1, 1.0))
    here = DeviceLatency(machine.examine(), (LatencyModel("tflite", "LiteRT", 1, "float32", fit),))
    here.save(tmp_path / "d.json")

    def predict(model: LatencyModel, architecture: Architecture) -> Prediction:
        ms = counted(architecture.family, architecture.width or 0, architecture.size[0])
        return Prediction(ms, model.fit.error.p95, (), ())

    monkeypatch.setattr(candidates, "prediction_of", predict)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return str(tmp_path / "d.json")


@pytest.mark.parametrize("most", [10, 100])
def test_of_published_networks_the_most_accurate_one_that_surely_fits_comes_first(fitted: str, most: int) -> None:
    result = advise(f"latency={most}", device=fitted)
    assert result.considered == len(published())
    fitting = [one for one in published() if counted(one.family, one.width, one.resolution) * 1.1 <= most]
    assert (result.best is not None) == bool(fitting)
    if result.best is not None:
        assert result.best.candidate.accuracy == max(one.top1 for one in fitting)
        assert result.best.candidate.accuracy_from.startswith("published for ImageNet, in float32: https://")


@cache
def counted(family: str, width: float, resolution: int) -> float:
    return complexity(family_of(family).make(width, 1000, resolution=resolution)).macs / 1e6


@pytest.mark.parametrize("source", ["published", "sweep"])
def test_commands_are_commands(fitted: str, tmp_path: Path, source: str) -> None:
    if source == "published":
        result = advise("fps=10", device=fitted)
    else:
        row = replace(table(0)[0], settings='{"calibration.weight_bits": 7}')
        result = advise("accuracy", sweep=swept(tmp_path / "s", [row]))
        assert result.ranked[0].lowering == "seven-bit"
    assert result.commands
    for line in result.commands:
        program, name, *arguments = shlex.split(line)
        assert program == "edgekit"
        command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined] # it is a group
        command.make_context(name, arguments).close()  # refuses what it does not know


@pytest.mark.parametrize("text", ["fps", "fps=0", "fps=fast", "size=2XB", "latency=nan", "speed=3", "battery=2"])
def test_what_is_no_goal_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="choose from fps=30"):
        goal(text)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is about latency, and no device is named"):
        advise("fps=30")
    with pytest.raises(ArtifactError, match="no latency model is called 'pi4'"):
        advise("fps=30", device="pi4")
    with pytest.raises(ConfigError, match="no figures of detection are known"):
        advise("accuracy", task="detection")
    with pytest.raises(ConfigError, match="holds no sweep"):
        advise("accuracy", sweep=tmp_path)
    here, there = table(0)[:2]
    rows = [here, replace(there, device="ssh://pi")]
    with pytest.raises(ConfigError, match="timed files on here, ssh://pi: --device says which is meant"):
        advise("accuracy", sweep=swept(tmp_path / "s", rows))
