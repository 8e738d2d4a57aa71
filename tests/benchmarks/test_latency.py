"""Latency: fresh processes that take turns, and a sentence for every way in which one can end."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.benchmarks import latency, worker
from edgekit.errors import ArtifactError, MissingDependency
from edgekit.exporters.metadata import IoDtype, Metadata, Precision
from edgekit.preprocessing import Preprocessing

if TYPE_CHECKING:
    from collections.abc import Callable

    Impostor = Callable[[str], list[Path]]


def test_every_runtime_is_timed(exported: Path) -> None:
    paths = [next(exported.glob(f"*.{name}")) for name in ("int8.tflite", "int8.onnx", "float32.pt")]
    seen: list[tuple[str, int, int]] = []
    found = latency.measure(paths, runs=12, warmup=1, progress=lambda *step: seen.append(step))
    assert [entry.path for entry in found] == paths
    assert [entry.runner.split()[0] for entry in found] == ["LiteRT", "ONNX", "torch"]
    for entry in found:
        assert entry.runs == 12
        assert 0 < entry.p50_ms <= entry.p90_ms <= entry.p99_ms
        assert entry.load_ms > 0
    assert [entry.delegate_pieces for entry in found] == [1, None, None]
    assert seen == [("loading", i, 3) for i in range(4)] + [("timing", 0, 12), ("timing", 10, 12), ("timing", 12, 12)]


@pytest.fixture
def impostor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Impostor:
    """Puts a script in the place of the worker; gives a path to time, and notes what it is asked in a log."""

    def install(code: str) -> list[Path]:
        script = tmp_path / "python"
        script.write_text(
            f"#!{sys.executable}\n"
            "import json, os, pathlib, signal, sys, time\n"
            "path = sys.argv[-3]\n"
            "log = pathlib.Path(__file__).with_name('log').open('a')\n"
            "def answer(**values): print(json.dumps(values), flush=True)\n"
            "about = dict(runner='fake', load_ms=1.0, delegate_pieces=None, outside=[])\n"
            f"for line in sys.stdin:\n    log.write(f'{{path}} {{line}}'); log.flush()\n    {code}\n"
        )
        script.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(script))
        return [tmp_path / "a", tmp_path / "b"]

    return install


ANSWERS = (
    "answer(**about) if line == 'start\\n' else answer(latencies_ms=[float(i) for i in range(int(line.split()[1]))])"
)


def test_files_take_turns(impostor: Impostor, tmp_path: Path) -> None:
    first, second = latency.measure(impostor(ANSWERS), runs=25)
    asked = [line.removeprefix(f"{tmp_path}/") for line in (tmp_path / "log").read_text().splitlines()]
    assert asked[:2] == ["a start", "b start"]
    assert asked[2:] == ["a run 10", "b run 10", "a run 10", "b run 10", "a run 5", "b run 5"]
    times = [*range(10), *range(10), *range(5)]
    assert (first.runs, second.runs) == (25, 25)
    assert first.p50_ms == np.percentile(times, 50)
    assert first.p99_ms == np.percentile(times, 99)


ENDS = [
    ("os.kill(os.getpid(), signal.SIGSEGV)", ArtifactError, r"a crashed its runtime \(SIGSEGV\)"),
    ("sys.exit(7)", ArtifactError, r"a crashed its runtime \(exit code 7\)"),
    ("answer(**about) if line == 'start\\n' else os.abort()", ArtifactError, r"a crashed its runtime \(SIGABRT\)"),
    ("time.sleep(60)", ArtifactError, "a did not answer for 1 s: its runtime hangs"),
    ("answer(error='ArtifactError', message='refused')", ArtifactError, "refused"),
    ("answer(error='MissingDependency', message='pip install it')", MissingDependency, "pip install it"),
]


@pytest.mark.parametrize(("code", "error", "said"), ENDS)
def test_how_a_worker_can_end(
    impostor: Impostor, monkeypatch: pytest.MonkeyPatch, code: str, error: type[Exception], said: str
) -> None:
    monkeypatch.setattr(latency, "ANSWER_SECONDS", 1.0)
    started = time.monotonic()
    with pytest.raises(error, match=said):
        latency.measure(impostor(code))
    assert time.monotonic() - started < 20  # nobody waits for one that sleeps


def test_a_worker_that_never_began(impostor: Impostor) -> None:
    paths = impostor("pass")
    Path(sys.executable).write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(ArtifactError, match=r"crashed its runtime \(exit code 1\)"):
        latency.measure(paths)


def test_an_interrupt_ends_all_workers(impostor: Impostor, tmp_path: Path) -> None:
    paths = impostor("log.write(f'{os.getpid()}\\n'); log.flush(); " + ANSWERS)

    def interrupt(stage: str, done: int, total: int) -> None:
        if stage == "timing":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        latency.measure(paths, progress=interrupt)
    pids = [int(line) for line in (tmp_path / "log").read_text().splitlines() if line.isdigit()]
    assert len(pids) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def ask(path: Path, *lines: str) -> list[Any]:
    """What the worker answers, in this process."""
    answers = io.StringIO()
    worker.serve(lines, answers, path, threads=1, warmup=2)
    return [json.loads(line) for line in answers.getvalue().splitlines()]


def test_the_worker_answers_each_line(exported: Path) -> None:
    about, three = ask(next(exported.glob("*.int8.tflite")), "start\n", "run 3\n")
    assert about["runner"].startswith("LiteRT")
    assert (about["delegate_pieces"], about["outside"]) == (1, [])
    assert len(three["latencies_ms"]) == 3


def test_the_worker_answers_what_comparisons_ask(exported: Path) -> None:
    path = next(exported.glob("*.int8.tflite"))
    _, three = ask(path, "start\n", "work 3\n")
    assert len(three["cpu_ms"]) == 3
    assert min(three["cpu_ms"]) > 0
    (found,) = ask(path, "memory 1,3,32,32 float32\n")
    assert set(found) == {"runner", "peak_mib"}
    assert found["runner"].startswith("LiteRT")


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot keep a process on a core")
def test_the_worker_stays_on_a_core(exported: Path) -> None:
    before = os.sched_getaffinity(0)
    try:
        assert ask(next(exported.glob("*.int8.tflite")), f"pin {max(before)}\n") == [{}]
        assert os.sched_getaffinity(0) == {max(before)}
    finally:
        os.sched_setaffinity(0, before)


def test_the_worker_answers_errors(exported: Path, tmp_path: Path) -> None:
    (answer,) = ask(next(exported.glob("*.int8.mlpackage")), "start\n")
    assert answer["error"] == "ArtifactError"
    assert "no runtime for Core ML" in answer["message"]
    (answer,) = ask(tmp_path / "none.onnx", "start\n")
    assert answer == {"error": "ArtifactError", "message": f"{tmp_path / 'none.onnx'} does not exist"}


def test_what_a_runtime_prints_is_no_answer(exported: Path) -> None:
    path = next(exported.glob("*.int8.tflite"))
    code = "import os, sys; from edgekit.benchmarks import worker; start = worker._start\n"
    code += "def noisy(*a): os.write(1, b'INFO: hello\\n'); print('hello'); return start(*a)\n"
    code += f"worker._start = noisy; from pathlib import Path; worker.main(Path({str(path)!r}), 1, 0)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        input="start\nrun 1\n",
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert [min(json.loads(line)) for line in done.stdout.splitlines()] == ["delegate_pieces", "latencies_ms"]
    assert "INFO: hello" in done.stderr


@pytest.mark.parametrize("io_dtype", IoDtype)
@pytest.mark.parametrize("pixel_input", [True, False])
def test_noise_suits_the_boundary(io_dtype: IoDtype, *, pixel_input: bool) -> None:
    preprocessing = Preprocessing((5, 7), None)
    about = Metadata(
        "net", Precision.INT8, io_dtype, preprocessing, preprocessing.normalization, pixel_input, (), "universal", {}
    )
    found = worker.noise(about)
    assert found.shape == (1, 3, 5, 7)
    assert found.dtype == np.dtype(io_dtype)
    assert np.array_equal(found, worker.noise(about))
    assert len(np.unique(found)) > 50
