"""The commands as users call them, in a folder of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

import edgekit
from edgekit.cli.app import app

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Calls a command in this process, in an empty working directory, as in a pipe."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)

    def call(*arguments: object) -> Result:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


@pytest.fixture
def environment() -> dict[str, str]:
    """Of a process that finds this edgekit, wherever it runs."""
    root = str(Path(edgekit.__file__).parent.parent)
    inherited = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    return {**inherited, "PYTHONPATH": os.pathsep.join([root, *filter(None, sys.path)])}


@pytest.fixture
def process(tmp_path: Path, environment: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Calls a command in a process of its own, in an empty working directory."""

    def call(*arguments: object, **extra: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "edgekit", *map(str, arguments)]
        return subprocess.run(
            command, cwd=tmp_path, env=environment | extra, capture_output=True, text=True, check=False
        )

    return call


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content, hidden ones included."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
