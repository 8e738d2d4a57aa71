"""Sweeps: what is measured, what an interrupted one goes on with, and what is lost with a worker."""

from __future__ import annotations

import sqlite3
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("torch")

from edgekit.errors import BadInput, ConfigError
from edgekit.pipeline.choosing import sweep as sweeping
from edgekit.pipeline.choosing import work
from edgekit.pipeline.choosing.pools import InProcess
from edgekit.pipeline.choosing.store import Store, rows
from edgekit.pipeline.choosing.sweep import shown, sweep
from edgekit.pipeline.choosing.work import Done, Unit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

GRID = 'resolution = [16, 24, 32]\nprecision = ["float32", "int8"]\ntarget = ["tflite"]\n'
LATENCIES_MS = {"16": 1.0, "24": 2.0, "32": 3.0}
ACCURACIES = {"16": 50.0, "24": 40.0, "32": 60.0}  # 24 is slower than 16 and worse


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Work that takes no time, and how often each unit was begun."""
    counted = Counter[str]()

    def make(unit: Unit, _: Mapping[str, Any]) -> dict[str, Any]:
        counted[unit.key] += 1
        size = str(unit.settings.model.resolution)
        int8 = unit.settings.export.precisions == ("int8",)
        accuracy = ACCURACIES[size] - (1 if int8 else 0)
        return {"network": "n", "resolution": int(size), "accuracy": accuracy, "metric": "top1", "size_bytes": 100}

    def time(unit: Unit, made: Mapping[str, Any]) -> dict[str, Any]:
        counted[unit.key] += 1
        faster = unit.settings.export.precisions == ("int8",)
        return {"latency_ms": LATENCIES_MS[str(made["resolution"])] / (2 if faster else 1), "threads": 1}

    monkeypatch.setitem(work._WORK, "make", make)
    monkeypatch.setitem(work._WORK, "time", time)
    return counted


def test_cells_have_rows_and_the_best_are_on_the_front(
    spec: Callable[..., Path], tmp_path: Path, begun: Counter[str]
) -> None:
    result = sweep(spec(GRID), tmp_path / "s", workers=1)
    assert [(row.resolution, row.precision, row.latency_ms) for row in result.rows] == [
        (size, precision, LATENCIES_MS[size] / (2 if precision == "int8" else 1))
        for size in ("16", "24", "32")
        for precision in ("float32", "int8")
    ]
    assert result.cost == "latency_ms"
    assert [(row.accuracy, row.latency_ms) for row in result.front] == [(49, 0.5), (50, 1.0), (59, 1.5), (60, 3.0)]
    assert set(begun.values()) == {1}
    assert len(begun) == 12


@pytest.mark.parametrize("after", range(0, 12, 3))
def test_an_interrupted_sweep_goes_on_and_does_nothing_twice(
    spec: Callable[..., Path], tmp_path: Path, begun: Counter[str], monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    path, real = spec(GRID), InProcess.next

    def interrupted(self: InProcess) -> Done | None:
        if sum(begun.values()) >= after:
            raise KeyboardInterrupt
        return real(self)

    with monkeypatch.context() as patch:
        patch.setattr(InProcess, "next", interrupted)
        with pytest.raises(KeyboardInterrupt):
            sweep(path, tmp_path / "s", workers=1)
    result = sweep(path, tmp_path / "s", workers=1)
    assert len(result.rows) == 6
    assert not result.failed
    assert set(begun.values()) == {1}
    again = sweep(path, tmp_path / "s", workers=1)
    assert again.rows == result.rows
    assert again.measured == 0
    assert set(begun.values()) == {1}


def test_a_grid_that_has_grown_measures_what_is_new(
    spec: Callable[..., Path], tmp_path: Path, begun: Counter[str]
) -> None:
    sweep(spec(GRID.replace(", 32", "")), tmp_path / "s", workers=1)
    assert sweep(spec(GRID), tmp_path / "s", workers=1).measured == 2
    assert sweep(spec(GRID.replace(", 32", "")), tmp_path / "s", workers=1).measured == 0
    assert len(shown(tmp_path / "s").rows) == 6
    assert set(begun.values()) == {1}


def test_a_folder_of_other_settings_is_refused(
    spec: Callable[..., Path], tmp_path: Path, begun: Counter[str], shared: str
) -> None:
    sweep(spec(GRID), tmp_path / "s", workers=1)
    with pytest.raises(ConfigError, match="images was 40 and is 41"):
        sweep(spec(GRID, shared.replace("images = 40", "images = 41")), tmp_path / "s", workers=1)
    with pytest.raises(ConfigError, match="axes was"):
        sweep(spec(GRID + 'calibration.method = ["mse"]'), tmp_path / "s", workers=1)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "photo.jpg").touch()
    with pytest.raises(ConfigError, match="holds something else than a sweep"):
        sweep(spec(GRID), tmp_path / "other", workers=1)
    assert begun


def test_images_that_changed_are_refused(spec: Callable[..., Path], tmp_path: Path, begun: Counter[str]) -> None:
    images = tmp_path / "test.npz"
    shared = f'[verify]\ndata = "{images}"\n'
    np.savez(images, images=np.zeros(1))
    sweep(spec(GRID, shared), tmp_path / "s", workers=1)
    np.savez(images, images=np.ones(1))
    with pytest.raises(ConfigError, match=r"test\.npz is another file by now"):
        sweep(spec(GRID, shared), tmp_path / "s", workers=1)
    assert begun


def test_a_cell_that_fails_leaves_the_others_alone_and_is_tried_again(
    spec: Callable[..., Path], tmp_path: Path, begun: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, broken = work._WORK["make"], True

    def make(unit: Unit, needed: Mapping[str, Any]) -> dict[str, Any]:
        if broken and unit.settings.model.resolution == 24:
            raise (BadInput if unit.settings.export.precisions == ("int8",) else ZeroDivisionError)("no such thing")
        return real(unit, needed)

    monkeypatch.setitem(work._WORK, "make", make)
    failed = list[str]()
    result = sweep(spec(GRID), tmp_path / "s", workers=1, failed=lambda row: failed.append(row.error))
    assert sorted(failed) == ["ZeroDivisionError: no such thing", "no such thing"]
    assert len(result.failed) == 2
    assert [row.resolution for row in result.failed] == ["24", "24"]
    broken = False
    assert sweep(spec(GRID), tmp_path / "s", workers=1).measured == 2
    assert not shown(tmp_path / "s").failed
    assert set(begun.values()) == {1}


def test_what_a_lost_worker_did_is_done_again_three_times_at_most(
    spec: Callable[..., Path], tmp_path: Path, begun: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = Counter[str]()

    class Losing(InProcess):
        def next(self) -> Done | None:
            unit, _ = self._waiting[0]
            size, int8 = unit.settings.model.resolution, unit.settings.export.precisions == ("int8",)
            if int8 and unit.kind == "make" and (size == 24 or (size == 16 and not lost[unit.key])):
                lost[unit.key] += 1
                self._waiting.popleft()
                return Done(unit.key, None, "its worker was lost", lost=True)
            return super().next()

    monkeypatch.setattr(sweeping, "InProcess", Losing)
    result = sweep(spec(GRID), tmp_path / "s", workers=1)
    assert [(row.resolution, row.precision) for row in result.failed] == [("24", "int8")]
    assert sorted(lost.values()) == [1, 3]
    assert set(begun.values()) == {1}
    store = Store(tmp_path / "s")
    assert sorted(store.attempts().values())[-2:] == [2, 3], "attempts are counted"
    store.close()


def test_files_are_timed_here_when_all_else_is_done(
    spec: Callable[..., Path], tmp_path: Path, begun: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    order = list[str]()
    real = InProcess.submit

    def submit(self: InProcess, unit: Unit, needed: Mapping[str, Any] | None) -> None:
        order.append(unit.kind)
        real(self, unit, needed)

    monkeypatch.setattr(InProcess, "submit", submit)
    sweep(spec(GRID), tmp_path / "s", workers=1)
    assert order == ["make"] * 6 + ["time"] * 6
    assert begun


def test_queries_are_conditions_of_sql(spec: Callable[..., Path], tmp_path: Path, begun: Counter[str]) -> None:
    sweep(spec(GRID + 'device = ["none"]\ncalibration.method = ["mse"]'), tmp_path / "s", workers=1)
    found = rows(tmp_path / "s", "precision = 'int8' and accuracy > 45")
    assert [row.resolution for row in found] == ["16", "32"]
    assert found[0].others == {"calibration.method": "mse"}
    assert shown(tmp_path / "s").cost == "size_bytes"
    with pytest.raises(ConfigError, match="no such column: precisoin"):
        rows(tmp_path / "s", "precisoin = 'int8'")
    with pytest.raises(ConfigError, match="cannot be queried"):
        rows(tmp_path / "s", "1); DELETE FROM cells; --")
    with sqlite3.connect(tmp_path / "s" / "sweep.db") as base:
        assert base.execute("SELECT count(*) FROM cells").fetchone() == (6,)
    base.close()
    with pytest.raises(ConfigError, match="holds no sweep"):
        rows(tmp_path)
    assert begun


def test_a_cell_is_what_export_and_verify_make_of_it(spec: Callable[..., Path], tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    path = spec('precision = ["int8"]\ntarget = ["tflite"]\ndevice = ["none"]')
    (row,) = sweep(path, tmp_path / "s", workers=1).rows
    assert row.error == ""
    assert (row.network, row.family) == ("mobilenet_v3_digits_1.0_32", "mobilenet_v3_digits")
    assert (row.metric, row.accuracy, row.agreement) == ("top1", 100.0, 100.0), (
        "of 40 of 360 images, of which 358 are right"
    )
    assert row.file is not None
    file = tmp_path / row.file
    assert file.stat().st_size == row.size_bytes
    assert file.with_suffix(".edgekit").exists()
