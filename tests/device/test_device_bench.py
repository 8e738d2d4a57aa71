"""Laps: fresh processes that take turns, what counts, and what is made of it."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from edgekit.device import bench as module
from edgekit.device import machine
from edgekit.device.bench import bench
from edgekit.device.engines.engine import FixedBatch
from edgekit.device.plan import Golden, GoldenOutput, Plan, PlannedFile
from edgekit.device.results import Results
from edgekit.errors import ArtifactError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

FLOAT, INT8 = PlannedFile("float", "litert"), PlannedFile("int8", "litert", precision="int8", baseline="float")
ABOUT = {"runner": "fake", "load_ms": 2.0, "first_ms": 3.0, "cold_start_ms": 9.0, "delegate_pieces": 1, "outside": []}


class Simulated:
    """Processes whose times are set here; every lap is slower than the one before, for all files alike."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.milliseconds = {"float": 8.0, "int8": 4.0}
        self.interrupted = [False] * 150
        self.lap = 0

    def worker(self) -> Any:
        simulated = self

        class Worker:
            def __init__(self, file: PlannedFile, _folder: Path, *, threads: int, batch: int) -> None:
                self.file, self.threads, self.batch = file, threads, batch
                self.about = ABOUT

            def __enter__(self) -> Self:
                simulated.note(self, "enter")
                return self

            def __exit__(self, *_: object) -> None:
                simulated.note(self, "exit")

            def start(self) -> None:
                simulated.note(self, "start")

            def warm(self) -> int:
                simulated.note(self, "warm")
                return 7

            def time(self, seconds: float) -> tuple[list[float], list[bool]]:
                assert seconds == module.TURN_SECONDS
                simulated.note(self, "time")
                run_ms = simulated.milliseconds[self.file.path] * self.batch / self.threads
                slower = 1 + 0.01 * sum("float" in line and "enter" in line for line in simulated.asked)
                return [
                    run_ms * slower + (100.0 if cut else 0.0) for cut in simulated.interrupted
                ], simulated.interrupted

        return Worker

    def note(self, worker: Any, what: str) -> None:
        self.asked.append(f"{worker.file.path} {worker.threads} {worker.batch} {what}")


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Simulated:
    simulated = Simulated()
    monkeypatch.setattr(module, "Worker", simulated.worker())
    monkeypatch.setattr(module, "peak_memory", lambda *_, **__: ("fake", 12.0))
    for name in simulated.milliseconds:
        (tmp_path / name).write_bytes(b"12345")
    return simulated


def test_every_lap_has_fresh_processes_that_take_turns(simulated: Simulated, tmp_path: Path) -> None:
    bench(Plan((FLOAT, INT8), laps=2), tmp_path)

    def lap(first: str, second: str) -> list[str]:
        begins = [f"{name} 1 1 {what}" for name in (first, second) for what in ("enter", "start", "warm")]
        return [*begins, f"{first} 1 1 time", f"{second} 1 1 time", f"{second} 1 1 exit", f"{first} 1 1 exit"]

    simulated.asked = [line for n, line in enumerate(simulated.asked) if simulated.asked.index(line) <= n]
    assert simulated.asked == [*lap("float", "int8"), *lap("int8", "float")]


def test_what_is_made_of_the_laps(simulated: Simulated, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    found = bench(Plan((FLOAT, INT8), laps=3), tmp_path, lambda *step: seen.append(step))
    slow, fast = found.rows
    assert [row.path for row in found.rows] == ["float", "int8"]
    assert slow.laps_ms == pytest.approx((8 * 1.01, 8 * 1.02, 8 * 1.03))
    assert (slow.p50_ms.value, slow.p50_ms.low, slow.p50_ms.high) == pytest.approx((8.16, 8.08, 8.24))
    assert slow.p90_ms == pytest.approx(8.24)
    assert fast.ratio is not None
    assert fast.ratio.baseline == "float"
    assert fast.ratio.value.value == pytest.approx(0.5, rel=0.02)
    assert slow.ratio is None
    assert (fast.runs, fast.interrupted, fast.warmup_runs, fast.size_bytes) == (450, 0, 7, 5)
    assert (fast.cold_start_ms, fast.load_ms, fast.first_ms, fast.peak_mib) == (9.0, 2.0, 3.0, 12.0)
    assert found.laps == 3
    assert Results.from_json(found.to_json()) == found
    assert seen == [("measuring memory", i, 2) for i in range(3)] + [("timing", i, 6) for i in range(7)]


def test_every_condition_has_a_row(simulated: Simulated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = bench(Plan((FLOAT,), threads=(1, 2), batches=(1, 8), laps=1), tmp_path)
    assert [(row.threads, row.batch) for row in found.rows] == [(1, 1), (2, 1), (1, 8), (2, 8)]
    assert [row.p50_ms.value for row in found.rows] == pytest.approx([8, 4, 64, 32], rel=0.1)
    monkeypatch.setattr(machine, "cores", lambda: 3)
    assert [row.threads for row in bench(Plan((FLOAT,), threads=(), laps=1), tmp_path).rows] == [1, 2, 3]


def test_a_fixed_batch_is_told_and_the_rest_goes_on(
    simulated: Simulated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def peak_memory(file: PlannedFile, _folder: Path, *, threads: int, batch: int) -> tuple[str, float]:
        if file is INT8 and batch > 1:
            raise FixedBatch.of(file.path, 1, batch)
        return f"fake {threads}", 1.0

    monkeypatch.setattr(module, "peak_memory", peak_memory)
    found = bench(Plan((FLOAT, INT8), threads=(1, 2), batches=(1, 8), laps=1), tmp_path)
    assert len(found.rows) == 6
    (refused,) = found.refused  # once, with however many threads
    assert (refused.path, refused.batch) == ("int8", 8)
    assert refused.reason == "int8 takes 1 image at once and not 8: its batch is fixed"


def test_only_refusals_are_an_error(simulated: Simulated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def peak_memory(file: PlannedFile, _folder: Path, *, threads: int, batch: int) -> tuple[str, float]:
        raise FixedBatch.of(file.path, threads, batch)

    monkeypatch.setattr(module, "peak_memory", peak_memory)
    with pytest.raises(ArtifactError, match="float takes 1 image at once and not 8: its batch is fixed"):
        bench(Plan((FLOAT,), batches=(8,)), tmp_path)


def test_int8_is_expected_to_be_faster_than_float_alone(simulated: Simulated, tmp_path: Path) -> None:
    simulated.milliseconds["int8"] = 8.0
    twin = replace(FLOAT, precision="float32")
    rows = [bench(Plan((baseline, INT8), laps=1), tmp_path).rows[1] for baseline in (twin, FLOAT)]
    assert [row.slow_because is None for row in rows] == [False, True]


def test_interrupted_runs_do_not_count(simulated: Simulated, tmp_path: Path) -> None:
    simulated.interrupted = [True, False] * 100
    (row,) = bench(Plan((FLOAT,), laps=1), tmp_path).rows
    assert (row.runs, row.interrupted) == (200, 100)
    assert row.p99_ms == pytest.approx(8.08)


def test_where_every_run_is_interrupted_all_count(simulated: Simulated, tmp_path: Path) -> None:
    simulated.interrupted = [True] * 150
    found = bench(Plan((FLOAT,), laps=1), tmp_path)
    (row,) = found.rows
    assert row.p50_ms.value > 100
    assert (row.runs, row.interrupted) == (150, 150)
    assert "100% of the runs were interrupted by other processes" in found.dirty


def test_a_plan_travels_as_text() -> None:
    golden = Golden("in.npy", {"a": GoldenOutput("a.npy", 0.5), "b": GoldenOutput("b.npy", 0.0)}, 2)
    file = PlannedFile("a.tflite", "litert", (1, 2, 3, 4), "int8", golden, "builtin", "int8", "b.tflite")
    plan = Plan((file, FLOAT), (1, 4), (1, 8), 5)
    assert Plan.from_json(plan.to_json()) == plan


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="counts what Linux tells")
def test_real_files(exported: Path) -> None:
    names = ("int8.tflite", "int8.onnx")
    paths = [next(exported.glob(f"*.{name}")).name for name in names]
    tflite, onnx = paths
    plan = Plan((PlannedFile(tflite, "litert"), PlannedFile(onnx, "onnxruntime", baseline=tflite)), laps=1)
    found = bench(plan, exported)
    assert [row.runner.split()[0] for row in found.rows] == ["LiteRT", "ONNX"]
    for row in found.rows:
        assert 0 < row.p50_ms.value <= row.p90_ms <= row.p99_ms
        assert row.cold_start_ms > row.load_ms
    assert found.conditions.seconds > 0
    assert found.machine.runtimes
