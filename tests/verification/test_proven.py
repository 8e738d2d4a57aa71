"""What is kept of the versions that were run."""

from __future__ import annotations

import platform
import tomllib
from importlib import resources

import pytest

from edgekit.runtimes import processor
from edgekit.verification import proven as module
from edgekit.verification.proven import FILE, machine, proven, split

KEPT = tomllib.loads(resources.files("edgekit.verification").joinpath(FILE).read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", KEPT)
def test_every_version_that_was_identical_is_proven(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "machine", lambda: kind)
    assert KEPT[kind]["identical"]
    for runtime, versions in KEPT[kind]["identical"].items():
        title, kernels = runtime.split(", ", 1)
        for version in versions:
            sentence = proven(f"{title} {version}, {kernels}")
            assert sentence is not None
            assert kind in sentence
        assert proven(f"{title} 0.0.1, {kernels}") is None
        assert proven(f"{title} {versions[0]}, other kernels") is None


@pytest.mark.parametrize("kind", KEPT)
def test_what_differed_is_not_proven(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "machine", lambda: kind)
    for runtime, versions in KEPT[kind]["not_identical"].items():
        title, kernels = runtime.split(", ", 1)
        assert all(proven(f"{title} {version}, {kernels}") is None for version in versions)


def test_nothing_is_proven_on_machines_that_nothing_was_run_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "machine", lambda: "riscv64")
    assert proven("LiteRT 2.3.0, XNNPACK") is None


def test_names_of_runners() -> None:
    assert split("LiteRT 2.3.0, XNNPACK") == ("LiteRT, XNNPACK", "2.3.0")
    assert split("ONNX Runtime 1.31.1, DISABLE_ALL") == ("ONNX Runtime, DISABLE_ALL", "1.31.1")
    assert split("Core ML program, interpreted, float32") == ("Core ML program, interpreted, float32", None)
    assert proven("Core ML program, interpreted, float32") is None


@pytest.mark.parametrize(
    ("architecture", "kind"),
    [("x86_64", "x86-64 with VNNI"), ("AMD64 without", "x86-64 without VNNI"), ("aarch64", "aarch64")],
)
def test_kinds_of_machines(architecture: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, *lacking = architecture.split()
    monkeypatch.setattr(platform, "machine", lambda: name)
    monkeypatch.setattr(processor, "lacks_vnni", lambda: bool(lacking))
    assert machine() == kind
