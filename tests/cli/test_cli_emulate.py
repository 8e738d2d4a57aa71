"""The command that sets machines up, and doctor, which says what is set up."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from edgekit.pipeline.proving import emulation
from edgekit.pipeline.proving.emulation import EmulatedMachine
from edgekit.runtimes.machines import WITHOUT_VNNI

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

    from edgekit.runtimes.machines import Machine


@pytest.fixture
def set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes nothing from anywhere."""

    def pretend(machine: Machine, **_: object) -> EmulatedMachine:
        return EmulatedMachine(machine.title, machine.folder, "QEMU 10", "3.11.2", ("Haswell",), ("numpy 2.4.6",), 5000)

    monkeypatch.setattr(emulation, "set_up", pretend)


@pytest.mark.usefixtures("set_up")
def test_what_was_set_up(run: Callable[..., Result]) -> None:
    result = run("emulate", "x86-64-no-vnni")
    assert result.exit_code == 0
    assert "emulated x86-64 without VNNI" in result.stdout
    assert f"{WITHOUT_VNNI.folder}, 5 kB" in result.stdout
    body = json.loads(run("emulate", "x86-64-no-vnni", "--json").stdout)
    assert body["emulator"] == "QEMU 10"
    assert body["packages"] == ["numpy 2.4.6"]


def test_an_unknown_machine(run: Callable[..., Result]) -> None:
    result = run("emulate", "arm64")
    assert result.exit_code == 2
    assert "unknown machine 'arm64'" in result.stderr


def test_a_missing_tool(run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = run("emulate", "aarch64")
    assert result.exit_code == 3
    assert "apt-get is not installed" in result.stderr


def test_doctor_names_the_machines(run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert "no emulated aarch64 on this machine: edgekit emulate aarch64" in run("doctor").stdout
    body = json.loads(run("doctor", "--json").stdout)
    assert list(body["emulated"]) == ["aarch64", "x86-64 without VNNI"]
    assert body["emulated"]["aarch64"].endswith("edgekit emulate aarch64")
