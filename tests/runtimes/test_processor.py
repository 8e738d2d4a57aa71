"""What the processor has, as Linux tells it."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from edgekit.pipeline.proving.emulation import HASWELL_CPUINFO
from edgekit.runtimes import processor


@pytest.mark.parametrize(
    ("machine", "cpuinfo", "lacks"),
    [
        ("x86_64", "flags\t\t: fpu avx512_vnni\n", False),
        ("AMD64", "flags\t\t: fpu avx_vnni\n", False),
        ("x86_64", "model name\t: Xeon\nflags\t\t: fpu avx2\n", True),
        ("x86_64", HASWELL_CPUINFO, True),
        ("x86_64", "", False),  # nothing is known
        ("aarch64", "Features\t: fp asimd\n", False),
    ],
)
def test_vnni(monkeypatch: pytest.MonkeyPatch, machine: str, cpuinfo: str, *, lacks: bool) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(Path, "read_text", lambda _path, **_: cpuinfo)
    assert processor.lacks_vnni() is lacks


@pytest.mark.parametrize(
    ("profile", "lacks", "saturates"),
    [
        ("universal", True, True),
        ("mixed", True, True),
        ("None", True, True),  # another tool's file
        ("seven-bit", True, False),
        ("seven-bit-mixed", True, False),
        ("universal", False, False),
    ],
)
def test_whose_sums_saturate(monkeypatch: pytest.MonkeyPatch, profile: str, *, lacks: bool, saturates: bool) -> None:
    monkeypatch.setattr(processor, "lacks_vnni", lambda: lacks)
    assert processor.saturation(profile) == (processor.SATURATES if saturates else None)
