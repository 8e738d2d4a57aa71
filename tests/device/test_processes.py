"""A line and bytes go in, a line and bytes come out; what happens where they do not."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from edgekit.device.processes import Process, our_environment
from edgekit.errors import ArtifactError, MissingDependency

if TYPE_CHECKING:
    from collections.abc import Iterator

READ = "import json, os, signal, sys, time\ncommand = sys.stdin.buffer.readline().split()\n"


@contextmanager
def process(code: str) -> Iterator[Process]:
    """One that reads a command and then does something."""
    with (
        tempfile.TemporaryFile() as messages,
        Process([sys.executable, "-c", READ + code], "net.onnx", our_environment(), stderr=messages) as running,
    ):
        yield running


def test_bytes_go_there_and_back() -> None:
    code = (
        "content = sys.stdin.buffer.read(int(command[1]))\n"
        "sys.stdout.buffer.write(json.dumps({'bytes': len(content), 'said': command[0].decode()}).encode() + b'\\n')\n"
        "sys.stdout.buffer.write(content[::-1])\n"
    )
    content = bytes(range(256)) * 4096  # more than a pipe holds
    with process(code) as running:
        values, answer = running.ask(f"turn {len(content)}", content, seconds=20)
    assert values["said"] == "turn"
    assert answer == content[::-1]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", r"net\.onnx crashed its runtime \(SIGSEGV\): export it again"),
        ("sys.exit('no such kernel')", r"crashed its runtime \(exit code 1, no such kernel\)"),
        ("print('{\"bytes\": 8}', flush=True); os.abort()", r"crashed its runtime \(SIGABRT"),  # in mid-answer
    ],
)
def test_a_crash_is_told_with_the_last_words(code: str, said: str) -> None:
    with process(code) as running, pytest.raises(ArtifactError, match=said):
        running.ask("start", seconds=20)


def test_one_that_hangs() -> None:
    started = time.monotonic()
    with process("time.sleep(60)") as running, pytest.raises(ArtifactError, match="did not answer for 0 s"):
        running.ask("start", seconds=0.2)
    assert time.monotonic() - started < 20


def test_errors_keep_their_class() -> None:
    code = "print(json.dumps({'error': 'MissingDependency', 'message': 'pip install it'}), flush=True)"
    with process(code) as running, pytest.raises(MissingDependency, match="pip install it"):
        running.ask("start", seconds=20)


def test_it_does_not_outlive_its_block() -> None:
    with process("print(json.dumps({'pid': os.getpid()}), flush=True); time.sleep(60)") as running:
        pid = running.ask("start", seconds=20)[0]["pid"]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
