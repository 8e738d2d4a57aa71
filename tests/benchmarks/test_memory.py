"""Memory of files, in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgekit.benchmarks import memory
from edgekit.benchmarks.worker import noise
from edgekit.errors import ArtifactError
from edgekit.exporters.formats import format_of

if TYPE_CHECKING:
    from pathlib import Path

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of a process")


@on_linux
def test_the_peak_above_the_start() -> None:
    np.ones(2**23)  # 64 MiB, before
    watch = memory.PeakMemory()
    np.ones(2**22)  # 32 MiB, gone again
    risen_mib = watch.risen_mib()
    assert risen_mib is not None
    assert 31 < risen_mib < 34


@on_linux
def test_files_take_what_they_take(exported: Path) -> None:
    for name in ("int8.tflite", "int8.onnx"):
        path = next(exported.glob(f"*.{name}"))
        summary = format_of(path).read(path)
        assert summary.metadata is not None
        first, second = (memory.measure(path, noise(summary.metadata)) for _ in range(2))
        assert first.runner.split()[0] == ("LiteRT" if name.endswith("tflite") else "ONNX")
        assert first.peak_mib is not None
        assert second.peak_mib is not None
        assert 1 < first.peak_mib < 100
        assert first.peak_mib == pytest.approx(second.peak_mib, rel=0.03)


def test_a_system_that_does_not_tell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "Path", lambda _: tmp_path / "no" / "proc")
    assert memory.PeakMemory().risen_mib() is None
    assert memory.peak_kib(1) == 0


def test_a_process_that_has_ended() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert memory.peak_kib(process.pid) == 0


def test_a_file_that_nothing_runs(exported: Path) -> None:
    with pytest.raises(ArtifactError, match="no runtime for Core ML"):
        memory.measure(next(exported.glob("*.int8.mlpackage")), np.zeros((1, 3, 32, 32), np.float32))
