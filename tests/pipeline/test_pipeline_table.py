"""The table of what each command does: complete, and true."""

from __future__ import annotations

import importlib
import re
import typing
from pathlib import Path

import pytest
import typer

for needed in ("torch", "onnx"):
    pytest.importorskip(needed)

from edgekit import pipeline  # noqa: E402 - after what may be missing
from edgekit.cli.app import app  # noqa: E402 - likewise

CLI = Path(__file__).resolve().parents[2] / "edgekit" / "cli"
ROWS = re.findall(r"^\| (\w+) \| ``([\w.]+)`` \| ``(\w+)`` \|$", pipeline.__doc__ or "", re.MULTILINE)


@pytest.mark.parametrize(("command", "function", "gives"), ROWS)
def test_a_row_names_a_command_its_function_and_its_result(command: str, function: str, gives: str) -> None:
    assert command in typer.main.get_command(app).commands  # type: ignore[attr-defined] # it is a group
    module, _, name = function.rpartition(".")
    found = getattr(importlib.import_module(module), name)
    assert str(found.__annotations__["return"]) == gives or typing.get_type_hints(found)["return"].__name__ == gives


def test_every_command_that_does_something_has_a_row() -> None:
    doing = {
        path.stem
        for path in CLI.glob("*.py")
        if f"pipeline.{path.stem}"
        in re.sub(r"making\.|proving\.|measuring\.|diagnosing\.|choosing\.", "", path.read_text())
    }
    assert doing - {command for command, _, _ in ROWS} == set()
