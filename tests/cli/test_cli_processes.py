"""What only a process of its own shows: signals, limits, terminals, pipes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Process = Callable[..., subprocess.CompletedProcess[str]]

for needed in ("torch", "safetensors", "onnx", "onnxruntime", "onnxsim", "ai_edge_litert"):
    pytest.importorskip(needed)
pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and limits of POSIX")

NAME = "mobilenet_v3_digits_1.0_32"


@contextmanager
def running(arguments: list[str], folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """edgekit in a session of its own, which is over at the end of the block in any case."""
    with subprocess.Popen(
        [sys.executable, "-m", "edgekit", *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=heed_interrupts,  # noqa: PLW1509 - it takes no lock
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def heed_interrupts() -> None:
    """A shell starts what it puts into the background with SIGINT ignored, and that would be inherited."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def wait_for(line: str, process: subprocess.Popen[str]) -> None:
    """Read stderr until a line begins so."""
    assert process.stderr is not None
    for found in process.stderr:
        if found.startswith(line):
            return
    raise AssertionError(f"it ended with {process.wait()} before {line!r}")


@pytest.mark.parametrize(
    ("number", "code", "said", "existed"),
    [(signal.SIGINT, 130, "interrupted\n", False), (signal.SIGTERM, 143, "", True)],
)
def test_an_interrupted_export_leaves_everything_as_it_was(
    tmp_path: Path,
    environment: dict[str, str],
    exported: Path,
    number: signal.Signals,
    code: int,
    said: str,
    *,
    existed: bool,
) -> None:
    if existed:
        (tmp_path / "deep" / "out").mkdir(parents=True)
        (tmp_path / "deep" / "out" / "net.tflite").write_text("earlier")
    np.save(tmp_path / "many.npy", np.zeros((60_000, 8, 8, 3), np.uint8))
    before = sorted(tmp_path.rglob("*"))
    arguments = ["export", str(exported / f"{NAME}.float32.onnx"), "--int8", "--calib", "many.npy", "--resize", "whole"]
    with running([*arguments, "--out", "deep/out"], tmp_path, environment) as process:
        wait_for("calibrating", process)
        process.send_signal(number)
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.wait(60) == code
        assert process.stdout.read() == ""
        assert process.stderr.read() == said
    assert sorted(tmp_path.rglob("*")) == before
    if existed:
        assert (tmp_path / "deep" / "out" / "net.tflite").read_text() == "earlier"


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks for processes in /proc")
def test_an_interrupted_bench_ends_its_workers(tmp_path: Path, environment: dict[str, str], exported: Path) -> None:
    file = exported / f"{NAME}.int8.tflite"
    with running(["bench", str(file), "--laps", "100000000"], tmp_path, environment) as process:
        wait_for("timing", process)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        assert process.stderr is not None
        assert process.wait(60) == 130
        assert process.stderr.read() == "interrupted\n"
    deadline = time.monotonic() + 10
    while workers_of(file) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert workers_of(file) == []


def workers_of(file: Path) -> list[str]:
    """The processes that time a file."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:  # it ended meanwhile
            continue
        if any(b"edgekit.device.worker" in word for word in words) and os.fsencode(file) in words:
            found.append(path.parent.name)
    return found


def test_a_limit_on_file_sizes_is_explained(tmp_path: Path, environment: dict[str, str], exported: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))"
    done = subprocess.run(
        [
            *(sys.executable, "-c", f"{limit}; from edgekit.cli.app import app; app()"),
            *("export", str(exported / f"{NAME}.float32.onnx"), "-t", "tflite", "--no-verify"),
        ],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == f"✘ cannot write exported/{NAME}.float32.float32.tflite: File too large"
    assert list(tmp_path.iterdir()) == []


def test_colours_only_where_they_are_wanted(process: Process) -> None:
    assert "\x1b" not in process("doctor").stdout
    assert "\x1b[32m" in process("doctor", FORCE_COLOR="1").stdout
    assert "\x1b[32m" not in process("doctor", FORCE_COLOR="1", NO_COLOR="1").stdout
    done = process("inspect", "missing.onnx", CI="true")
    assert (done.stdout, done.stderr) == ("", "✘ missing.onnx does not exist\n")


def test_a_terminal_without_ticks(process: Process) -> None:
    done = process("doctor", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert re.search(r"^\?  numpy", done.stdout, re.MULTILINE)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [("doctor",), ("doctor", "--json")])
def test_a_full_disk_behind_stdout(tmp_path: Path, environment: dict[str, str], arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "edgekit", *arguments],
            cwd=tmp_path,
            env=environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr == "✘ the result cannot be written to stdout: No space left on device\n"


def test_a_reader_that_goes_away(tmp_path: Path, environment: dict[str, str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "edgekit", "doctor", "--json"],
        cwd=tmp_path,
        env=environment,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert done.returncode == 1
    assert done.stderr == ""


def test_a_working_directory_full_of_namesakes(process: Process, tmp_path: Path, exported: Path) -> None:
    for name in ("json", "numpy", "select"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module')")
    file = exported / f"{NAME}.int8.tflite"
    # Only the workers: the command itself is installed as a script, which does not look there.
    code = "import sys; sys.path.remove(''); from edgekit.cli.app import app; app()"
    done = subprocess.run(
        [sys.executable, "-c", code, "bench", str(file), "--laps", "1", "--json"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["results"]["rows"]
