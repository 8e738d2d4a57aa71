"""What a device is sent: small, for old Pythons, and with nothing that it does not have."""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import zipfile

import pytest

from edgekit.remote import packing

ALLOWED = {
    *("edgekit.device", "edgekit.errors", "edgekit.progress", "edgekit.version"),
    *("numpy", "ai_edge_litert", "tflite_runtime", "onnxruntime", "torch"),
}


def sources() -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(packing.bundle({}))) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_it_is_small() -> None:
    assert len(packing.bundle({})) < 200_000
    assert sum(map(len, packing.first_words())) < 200_000


def test_the_same_files_make_the_same_archive() -> None:
    assert packing.bundle({"a": b"1"}) == packing.bundle({"a": b"1"})


@pytest.mark.parametrize("name", sources())
def test_the_oldest_python_reads_it(name: str) -> None:
    starts = name in {"__main__.py", "edgekit/device/start.py"}  # what says that a Python is too old
    ast.parse(sources()[name], feature_version=(3, 6) if starts else (3, 9))


@pytest.mark.parametrize("name", sources())
def test_it_imports_what_a_device_has(name: str) -> None:
    imported = set()
    for node in ast.walk(ast.parse(sources()[name])):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None
            imported |= {f"{node.module}.{alias.name}" for alias in node.names}
    for module in imported:
        known = module.partition(".")[0] in sys.stdlib_module_names
        assert known or any(f"{module}.".startswith(f"{allowed}.") for allowed in ALLOWED), module


def test_an_old_python_says_so() -> None:
    source, archive = packing.first_words()
    code = source.replace(b"OLDEST = (3, 9)", b"OLDEST = (9, 9)")
    assert code != source
    done = subprocess.run([sys.executable, "-c", code], input=archive, capture_output=True, check=False)
    assert done.returncode == 3
    assert b"is too old: 3.9 is the oldest that serves" in done.stderr
