"""Devices that are elsewhere, as users meet them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result

    Run = Callable[..., Result]


@pytest.mark.parametrize(
    ("command", "exit_code", "said"),
    [
        (["bench", "{net}", "--device", "raspberrypi4"], 2, "--device raspberrypi4 is no address: write it as ssh://"),
        (["bench", "{net}", "--device", "ssh://127.0.0.1:1"], 4, "ssh://127.0.0.1:1: ssh: connect to host 127.0.0.1"),
        (["doctor", "--device", "ssh://127.0.0.1:1"], 4, "Connection refused"),
        (["doctor", "--device", "ssh://pi:secret@host"], 2, "ssh asks for it"),
        (["bundle", "{net}", "--out", "x.zip"], 2, "a bundle's name ends with .pyz"),
        (["bundle", "nothing.onnx"], 2, "nothing.onnx does not exist"),
        (["bench", "nothing.json"], 2, "nothing.json cannot be read"),
    ],
)
def test_what_does_not_work(run: Run, net: Path, command: list[str], exit_code: int, said: str) -> None:
    if exit_code == 4:
        import shutil

        if shutil.which("ssh") is None:
            pytest.skip("no ssh is installed")
    result = run(*(word.format(net=net) for word in command))
    assert result.exit_code == exit_code
    assert said in " ".join(result.stderr.split())
    assert "secret" not in result.output


def test_a_bundle(run: Run, net: Path) -> None:
    result = run("bundle", net, "--laps", "1")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[1:] == [
        "copy it to the device, and type there: python3 bench.pyz",
        "copy its results back, and show them: edgekit bench bench.json",
    ]
    assert Path("bench.pyz").read_bytes().startswith(b"#!/usr/bin/env python3\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if "site-packages" in path)}
    subprocess.run([sys.executable, "bench.pyz"], env=environment, check=True, capture_output=True)
    shown = run("bench", "bench.json")
    assert (shown.exit_code, net.name in shown.stdout) == (0, True)
    found = json.loads(run("bundle", net, "--json", "--out", "other.pyz").stdout)
    assert (found["path"], found["files"], found["unchecked"]) == ("other.pyz", [net.name], {})
