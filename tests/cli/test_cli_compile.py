"""``edgekit compile``, with the real compiler."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("ethosu.vela", reason="ethos-u-vela is not installed: pip install 'edgekit[ethos-u]'")

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

    Run = Callable[..., Result]

NAME = "mobilenet_v3_digits_1.0_32"


def test_what_runs_where(run: Run, exported: Path) -> None:
    result = run("compile", exported / f"{NAME}.int8.tflite", "--device", "ethos-u55")
    assert result.exit_code == 0, result.stderr
    assert "for ethos-u55-256, Ethos_U55_High_End_Embedded, Shared_Sram (Arm/vela.ini)" in result.stderr
    assert "time and memory are its estimates, nothing was run" in result.stderr
    row = rf"!  compiled/{NAME}\.int8\.ethos-u55-256_vela\.tflite +(\d+) of (\d+) +[\d,]+ +\d+\.\d\d ms +\d+ KiB  –? "
    on_npu, operators = map(int, re.findall(row, result.stdout)[0])
    assert operators - on_npu == 3
    for conversion in ("ADD", "QUANTIZE", "DEQUANTIZE"):
        assert f"  {conversion} " in result.stdout
    assert "    remedy: export with --io-dtype int8, as --device ethos-u55 does" in result.stdout


def test_as_json(run: Run, exported: Path) -> None:
    path = exported / f"{NAME}.int8.tflite"
    found = json.loads(run("compile", path, "--device", "ethos-u65", "--out", "npu", "--json").stdout)
    assert set(found) == {"schema_version", "command", "device", "compiler", "hardware", "optimise", "files"}
    (file,) = found["files"]
    assert set(file) == {"source", "path", "size_bytes", "operators", "estimates", "on_npu"}
    assert set(file["operators"][0]) == {"operator", "name", "layer", "on_npu", "cycles", "reason", "remedy"}
    assert file["estimates"]["sram_bytes"] > 0


def test_what_export_says_next(run: Run, exported: Path) -> None:
    ranges = exported / f"{NAME}.ranges.json"
    done = run("export", "--device", "ethos-u55", "--ranges", ranges, "--no-verify")
    assert done.exit_code == 0, done.stderr
    assert "next: edgekit compile exported --device ethos-u55\n" in done.stderr
    result = run("compile", "exported", "--device", "ethos-u55")
    assert result.exit_code == 0, result.stderr
    on_npu, operators = re.findall(r"✔  \S+ +(\d+) of (\d+) ", result.stdout)[0]
    assert on_npu == operators
    assert "stays on the processor" not in result.stdout
