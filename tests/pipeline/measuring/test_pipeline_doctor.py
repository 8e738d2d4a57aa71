"""Doctor: what is told of a machine."""

from __future__ import annotations

import importlib.metadata
import platform
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgekit.pipeline.measuring import doctor

if TYPE_CHECKING:
    from collections.abc import Callable

    Machine = Callable[..., None]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Pretends to be a processor with some packages."""

    def pretend(architecture: str, cpuinfo: str | None, **versions: str) -> None:
        def version(name: str) -> str:
            try:
                return versions[name.replace("-", "_")]
            except KeyError:
                raise importlib.metadata.PackageNotFoundError(name) from None

        def read_text(path: Path, **_: object) -> str:
            if cpuinfo is None or str(path) != "/proc/cpuinfo":  # which is all that this system tells
                raise FileNotFoundError
            return cpuinfo

        monkeypatch.setattr(platform, "machine", lambda: architecture)
        monkeypatch.setattr(importlib.metadata, "version", version)
        monkeypatch.setattr(Path, "read_text", read_text)

    return pretend


def test_what_is_installed_and_what_is_not(machine: Machine) -> None:
    machine("arm64", None, numpy="2.4.6")
    found = {package.name: package for package in doctor.examine().packages}
    assert found["numpy"].installed == "2.4.6"
    assert found["onnx"].installed is None
    assert found["onnx"].remedy == "pip install 'edgekit[onnx]'"
    assert found["pillow"].remedy == "pip install edgekit"


@pytest.mark.parametrize(
    ("architecture", "cpuinfo", "instructions", "warns"),
    [
        ("x86_64", "flags\t\t: fpu avx512_vnni avx_vnni\n", ("int8 dot products (VNNI)",), False),
        ("x86_64", "flags\t\t: fpu avx2\n", (), True),
        (
            "aarch64",
            "Features\t: fp asimd asimddp i8mm\n",
            ("int8 dot products (NEON dotprod)", "int8 matrix products (NEON i8mm)"),
            False,
        ),
        ("x86_64", None, (), False),  # not Linux: nothing is known
    ],
)
def test_the_processor(
    machine: Machine, architecture: str, cpuinfo: str | None, instructions: tuple[str, ...], *, warns: bool
) -> None:
    machine(architecture, cpuinfo)
    found = doctor.examine()
    assert found.instructions == instructions
    assert any("VNNI" in warning for warning in found.warnings) is warns
    assert found.machine.startswith(f"{architecture}, ")
    assert found.cores >= 1


def test_a_runtime_that_rounds_twice(machine: Machine) -> None:
    machine("aarch64", None, tflite_runtime="2.14.0")
    assert any("tflite-runtime rounds twice" in warning for warning in doctor.examine().warnings)
    machine("aarch64", None, tflite_runtime="2.14.0", ai_edge_litert="2.3.0")
    assert doctor.examine().warnings == ()
