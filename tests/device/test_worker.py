"""Fresh processes of files: what they answer, and a sentence for every way in which one can end."""

from __future__ import annotations

import io
import json
import mmap
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.device import memory, worker, workers
from edgekit.device.engines.engine import FixedBatch
from edgekit.device.plan import PlannedFile
from edgekit.device.workers import Worker, peak_memory
from edgekit.errors import ArtifactError, MissingDependency

if TYPE_CHECKING:
    from collections.abc import Callable

    Impostor = Callable[[str], PlannedFile]

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of a process")
OPTIONS = {"engine": "litert", "kernels": "", "threads": 1, "batch": 1, "shape": None, "dtype": None}


def ask(path: Path, *lines: str, **options: Any) -> list[Any]:
    """What the worker answers, in this process."""
    answers = io.StringIO()
    worker.serve(lines, answers, path, {**OPTIONS, **options})
    return [json.loads(line) for line in answers.getvalue().splitlines()]


@pytest.fixture(scope="module")
def int8(exported: Path) -> Path:
    return next(exported.glob("*.int8.tflite"))


def test_each_line_is_answered(int8: Path) -> None:
    about, warm, turn, three = ask(int8, "start\n", "warm\n", "time 0.001\n", "work 3\n")
    assert about["runner"].startswith("LiteRT")
    assert (about["delegate_pieces"], about["outside"]) == (1, [])
    assert about["load_ms"] > 0
    assert about["first_ms"] > 0
    assert warm["runs"] >= worker.SETTLED_RUNS
    assert len(turn["latencies_ms"]) == len(turn["interrupted"]) >= worker.TURN_RUNS
    assert {type(flag) for flag in turn["interrupted"]} == {bool}
    assert len(three["cpu_ms"]) == 3
    assert min(three["cpu_ms"]) > 0


def test_warm_is_what_grows_no_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock rises for 40 runs; after that, a run is now and then disturbed, and never faster."""
    now = 0.0

    def run_ms(_run: object, _times: int) -> list[float]:
        nonlocal now
        runs.append(10.0 - 0.1 * min(len(runs), 40) + (5.0 if len(runs) % 3 == 0 else 0.0))
        now += runs[-1] / 1e3
        return runs[-1:]

    runs: list[float] = []
    monkeypatch.setattr(worker, "times_ms", run_ms)
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    found = worker._File(Path("net"), {**OPTIONS}).warm()
    assert found["runs"] == len(runs)
    assert 40 < len(runs) < 80


def test_a_file_that_never_settles_is_warm_at_some_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def run_ms(_run: object, _times: int) -> list[float]:
        nonlocal now
        now += 0.1
        return [1000.0 / 2**now]

    monkeypatch.setattr(worker, "times_ms", run_ms)
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    assert worker._File(Path("net"), {**OPTIONS}).warm()["runs"] == pytest.approx(worker.WARMUP_SECONDS / 0.1, abs=1)


def test_batches(exported: Path, int8: Path) -> None:
    """A .tflite file is resized to any, in one piece."""
    for path in (int8, next(exported.glob("*.float32.tflite"))):
        (about,) = ask(path, "start\n", batch=4)
        assert about["delegate_pieces"] == 1


def test_a_file_that_fails_when_it_runs(int8: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        name, shape, dtype, placement = "Broken 1.0", (1, 2), "float32", None

        def bind(self, _batch: object) -> Callable[[], object]:
            def run() -> None:
                raise RuntimeError("Reshape: sizes differ\nand more")

            return run

    monkeypatch.setattr(worker, "opened", lambda *_, **__: Broken())
    assert ask(int8, "start\n") == [
        {"error": "ArtifactError", "message": f"{int8} fails on an image: Reshape: sizes differ"}
    ]
    assert ask(int8, "start\n", batch=2) == [{"refused": f"{int8} fails on 2 images at once: Reshape: sizes differ"}]
    monkeypatch.setattr(Broken, "shape", None)
    (answer,) = ask(int8, "start\n")
    assert answer["message"] == f"{int8} does not say what it takes, so it cannot be run"


def test_errors_are_answered(tmp_path: Path) -> None:
    (answer,) = ask(tmp_path / "none.onnx", "start\n", engine="onnxruntime")
    assert answer["error"] == "ArtifactError"
    assert "none.onnx" in answer["message"]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot keep a process on a core")
def test_it_stays_on_a_core(int8: Path) -> None:
    before = os.sched_getaffinity(0)
    try:
        assert ask(int8, f"pin {max(before)}\n") == [{}]
        assert os.sched_getaffinity(0) == {max(before)}
    finally:
        os.sched_setaffinity(0, before)


def test_what_a_runtime_prints_is_no_answer(int8: Path) -> None:
    code = "import os; from edgekit.device import worker; start = worker._File.start\n"
    code += "def noisy(*a): os.write(1, b'INFO: hello\\n'); print('hello'); return start(*a)\n"
    code += f"worker._File.start = noisy; worker.main([{str(int8)!r}, {json.dumps(OPTIONS)!r}])"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", code], input="start\n", env=environment, capture_output=True, text=True, check=True
    )
    assert [min(json.loads(line)) for line in done.stdout.splitlines()] == ["delegate_pieces"]
    assert "INFO: hello" in done.stderr


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8"])
def test_noise(dtype: str) -> None:
    found = worker.noise((2, 5, 7, 3), dtype)
    assert (found.shape, found.dtype) == ((2, 5, 7, 3), np.dtype(dtype))
    assert np.array_equal(found, worker.noise((2, 5, 7, 3), dtype))
    assert len(np.unique(found)) > 50


# --- the other end


def test_a_fresh_process(int8: Path) -> None:
    with Worker(PlannedFile(int8.name, "litert"), int8.parent) as fresh:
        fresh.start()
        assert fresh.runner.startswith("LiteRT ")
        assert fresh.about["cold_start_ms"] > fresh.about["load_ms"] + fresh.about["first_ms"]
        latencies_ms, interrupted = fresh.time(0.001)
        assert len(latencies_ms) == len(interrupted) >= 2
        assert len(fresh.work(3)) == 3


def test_a_batch_that_a_file_does_not_take(net: Path) -> None:
    with Worker(PlannedFile(net.name, "onnxruntime"), net.parent, batch=3) as fresh, pytest.raises(FixedBatch) as error:
        fresh.start()
    assert str(error.value) == f"{net} takes 1 image at once and not 3: its batch is fixed"


@pytest.fixture
def impostor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Impostor:
    """Puts a script in the place of the worker; gives a file to run."""

    def install(code: str) -> PlannedFile:
        script = tmp_path / "python"
        script.write_text(
            f"#!{sys.executable}\n"
            "import json, os, signal, sys, time\n"
            "def answer(**values): print(json.dumps(values), flush=True)\n"
            f"for line in sys.stdin:\n    {code}\n"
        )
        script.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(script))
        return PlannedFile("a", "litert")

    return install


ENDS = [
    ("os.kill(os.getpid(), signal.SIGSEGV)", ArtifactError, r"a crashed its runtime \(SIGSEGV\)"),
    ("sys.exit(7)", ArtifactError, r"a crashed its runtime \(exit code 7\)"),
    ("time.sleep(60)", ArtifactError, "a did not answer for 1 s: its runtime hangs"),
    ("answer(error='ArtifactError', message='no file')", ArtifactError, "no file"),
    ("answer(error='MissingDependency', message='pip install it')", MissingDependency, "pip install it"),
    ("answer(refused='one at a time')", FixedBatch, "one at a time"),
]


@pytest.mark.parametrize(("code", "error", "said"), ENDS)
def test_how_it_can_end(
    impostor: Impostor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, error: type[Exception], said: str
) -> None:
    monkeypatch.setattr(workers, "ANSWER_SECONDS", 1.0)
    started = time.monotonic()
    with Worker(impostor(code), tmp_path) as fresh, pytest.raises(error, match=said):
        fresh.start()
    assert time.monotonic() - started < 20  # nobody waits for one that sleeps


# --- memory


def touched(mib: int) -> None:
    """Takes memory of its own, as an allocator may have some left, and gives it back."""
    with mmap.mmap(-1, mib << 20) as own:
        for page in range(0, mib << 20, mmap.PAGESIZE):
            own[page] = 1


@on_linux
def test_the_peak_above_the_start() -> None:
    touched(64)  # before
    watch = memory.PeakMemory()
    touched(32)  # gone again
    risen_mib = watch.risen_mib()
    assert risen_mib is not None
    assert 31 < risen_mib < 34


@on_linux
@pytest.mark.parametrize(("name", "engine"), [("int8.tflite", "litert"), ("int8.onnx", "onnxruntime")])
def test_files_take_what_they_take(exported: Path, name: str, engine: str) -> None:
    file = PlannedFile(next(exported.glob(f"*.{name}")).name, engine)
    (runner, first_mib), (_, second_mib) = (peak_memory(file, exported) for _ in range(2))
    assert runner.split()[0] == {"litert": "LiteRT", "onnxruntime": "ONNX"}[engine]
    assert first_mib is not None
    assert 1 < first_mib < 100
    assert first_mib == pytest.approx(second_mib, rel=0.03)


def test_a_system_that_does_not_tell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "Path", lambda _: tmp_path / "no" / "proc")
    assert memory.PeakMemory().risen_mib() is None
    assert memory.peak_kib(1) == 0


def test_a_process_that_has_ended() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert memory.peak_kib(process.pid) == 0
