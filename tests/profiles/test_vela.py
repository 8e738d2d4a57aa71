"""The compiler of Ethos-U, as a program: what it is asked, what is read of its answers, and how it fails."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest

from edgekit.errors import ArtifactError, ConfigError, MissingDependency
from edgekit.profiles import vela
from edgekit.profiles.vela import Estimates, Hardware

if TYPE_CHECKING:
    from pathlib import Path

HARDWARE = Hardware("ethos-u55-256", "Ethos_U55_High_End_Embedded", "Shared_Sram")

# In the words and columns of ethos-u-vela 5.2.0, for a network that there is not.
PRINTED = """
Warning (supported operators) operator: DEQUANTIZE, ofm: 'logits'
Reason: Unsupported opType

Warning (supported operators) operator: CONV_2D, ofm: 'a;b, c'
Reason: Operation has tensor with unsupported DataType Float32 (x)
Feature-map dataTypes must be one of {"INT16", "INT8"}
Warning (supported operators) operator: ADD, ofm: 'sum'
Reason: Both inputs are constant

Network summary for network
"""
SUMMARY = """\
experiment,network,core_clock,inference_time,sram_memory_used,dram_memory_used,on_chip_flash_memory_used,\
off_chip_flash_memory_used,nn_macs,cycles_npu,cycles_total
default,network,500000000.0,0.002,100.5,0.0,2.0,30.25,41042816,954977,1000000.0
"""
PER_LAYER = """\
Original Operator,NNG Operator,Target,Staging Usage,Peak% (Staging),Op Cycles,Network% (cycles),NPU,SRAM AC,DRAM AC,\
OnFlash AC,OffFlash AC,MAC Count,Network% (MAC),Util% (MAC),Name
Conv2D,Conv2D,NPU,1,0.1,1250,0.9,1,0,0,0,0,0,0.0,1,first, with a comma
Mean,DepthwiseConv2D,NPU,1,0.1,40,0.9,1,0,0,0,0,0,0.0,1,pool
Mean,Mul,NPU,1,0.1,2,0.9,1,0,0,0,0,0,0.0,1,pool
"""


def test_the_reasons() -> None:
    assert vela.reasons_in(PRINTED) == {
        "logits": "Unsupported opType",
        "a;b, c": "Operation has tensor with unsupported DataType Float32 (x). "
        'Feature-map dataTypes must be one of {"INT16", "INT8"}',
        "sum": "Both inputs are constant",
    }
    assert vela.reasons_in("Total SRAM used 12 KiB\n") == {}


def test_the_estimates() -> None:
    assert vela.estimates_in(SUMMARY) == Estimates(
        clock_hz=500e6, cycles=1_000_000, npu_cycles=954_977, inference_seconds=0.002,
        sram_bytes=102_912, dram_bytes=0, flash_bytes=33_024, macs=41_042_816,
    )  # fmt: skip


def test_the_cycles() -> None:
    assert vela.cycles_in(csv.reader(PER_LAYER.splitlines())) == {"first, with a comma": 1250, "pool": 42}


# --- how it fails -----------------------------------------------------------------------------------------------------


def pretend(program: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put ``program`` in the place of the compiler; returns a file to compile."""
    package = folder / "ethosu" / "vela"
    package.mkdir(parents=True)
    for init in (package.parent, package):
        (init / "__init__.py").touch()
    (package / "__main__.py").write_text(program, encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    source = folder / "net.tflite"
    source.write_bytes(b"x")
    return source


@pytest.mark.parametrize(
    ("program", "error", "said"),
    [
        (
            "class CliOptionError(Exception): pass\nraise CliOptionError(\"'Error: no section Memory_Mode.x'\")",
            ConfigError,
            "the compiler refuses its options: no section Memory_Mode.x",
        ),
        (
            "raise RuntimeError('Compilation failed: Error: HARD_SWISH does not\\n - IFM has to be 8bit\\n')",
            ArtifactError,
            "the compiler cannot compile {source}: HARD_SWISH does not - IFM has to be 8bit",
        ),
        (
            "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
            ArtifactError,
            "the compiler crashed on {source}: ",
        ),
        ("raise SystemExit(3)", ArtifactError, "the compiler cannot compile {source}: it does not say why"),
    ],
    ids=["options", "network", "crash", "silence"],
)
def test_a_failure_is_explained(
    program: str, error: type[Exception], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = pretend(program, tmp_path, monkeypatch)
    with pytest.raises(error) as refused:
        vela.compile_file(source, tmp_path / "out.tflite", HARDWARE, "performance")
    assert str(refused.value).startswith(said.format(source=source))
    assert not (tmp_path / "out.tflite").exists()


def test_what_it_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "board.ini"
    own.touch()
    source = pretend("import sys\nraise ValueError(' '.join(sys.argv[2:]))", tmp_path, monkeypatch)
    with pytest.raises(ArtifactError) as refused:
        vela.compile_file(source, tmp_path / "out.tflite", Hardware("ethos-u65-512", "S", "M", str(own)), "size")
    asked = str(refused.value)
    for option in (f"--config {own}", "--accelerator-config ethos-u65-512", "--system-config S", "--memory-mode M"):
        assert option in asked
    assert "--optimise Size" in asked


def test_without_the_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingDependency, match=r"pip install 'edgekit\[ethos-u\]'"):
        vela.compile_file(tmp_path / "net.tflite", tmp_path / "out.tflite", HARDWARE, "size")
