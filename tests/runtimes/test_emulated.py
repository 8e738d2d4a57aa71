"""Emulated machines: what there is, why there is not more, and that their integers are ours."""

from __future__ import annotations

import platform
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from packaging.requirements import Requirement

from edgekit.runtimes import machines, processor
from edgekit.runtimes.catalog import default_runner
from edgekit.runtimes.emulated import emulated_runners, open_runner
from edgekit.runtimes.litert import Kernels
from edgekit.runtimes.machines import AARCH64, MACHINES, WITHOUT_VNNI, Machine, Setting
from edgekit.runtimes.onnx_runtime import OptimizationLevel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.runtimes.machines import Wheel

ROOT = Path(__file__).resolve().parents[2]
ABSENT = {AARCH64.name: "aarch64", WITHOUT_VNNI.name: "x86-64 without VNNI"}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache in which nothing is set up, on a machine that could."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    return tmp_path / "cache"


def images(count: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).uniform(-1, 1, (count, 3, 32, 32)).astype(np.float32)


def set_up(machine: Machine) -> None:
    """Files where those of a machine are; the emulator runs a program as it is."""
    for folder in (machine.root, *(machine.folder / wheel.folder for wheel in machine.wheels)):
        folder.mkdir(parents=True)
    emulator = machine.folder / machine.emulator
    emulator.write_text('#!/bin/sh\n[ "$1" = -cpu ] && [ "$3" = -L ] || exit 9\nshift 4\nexec "$@"\n')
    emulator.chmod(0o755)


@pytest.mark.parametrize(
    ("suffix", "needed"),
    [("tflite", list(MACHINES)), ("onnx", list(MACHINES)), ("pt", [WITHOUT_VNNI.name]), ("mlpackage", [])],
)
@pytest.mark.usefixtures("cache")
def test_a_machine_that_is_absent_is_named_with_its_command(suffix: str, needed: list[str]) -> None:
    found = emulated_runners(Path(f"net.{suffix}"))
    assert found.runners == ()
    said = [f"no emulated {ABSENT[name]} on this machine: edgekit emulate {name}" for name in needed]
    assert list(found.absent) == said


@pytest.mark.usefixtures("cache")
def test_a_machine_that_is_set_up_in_part_is_absent() -> None:
    set_up(AARCH64)
    assert AARCH64.missing() is None
    (AARCH64.folder / AARCH64.wheels[0].folder).rmdir()
    assert AARCH64.missing() == "no emulated aarch64 on this machine: edgekit emulate aarch64"


@pytest.mark.usefixtures("cache")
def test_an_arm_machine_has_no_x86_python_to_emulate(monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(WITHOUT_VNNI)
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert WITHOUT_VNNI.missing() == ("no emulated x86-64 without VNNI on this machine: its own Python is for aarch64")


def test_where_machines_lie(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert AARCH64.folder == cache / "edgekit" / "aarch64"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert AARCH64.folder == tmp_path / ".cache" / "edgekit" / "aarch64"


@pytest.mark.usefixtures("cache")
def test_a_program_sees_the_machine_and_edgekit_and_nothing_of_ours() -> None:
    environment = AARCH64.environment(machines.NEWEST_ONNX)
    edgekit, *wheels = map(Path, environment["PYTHONPATH"].split(":"))
    assert [path.name for path in edgekit.iterdir()] == ["edgekit"]
    assert (edgekit / "edgekit" / "exporters" / "tflite" / "__init__.py").is_file()
    assert wheels == [AARCH64.folder / wheel.folder for wheel in machines.NEWEST_ONNX]
    assert AARCH64.environment(machines.NEWEST_ONNX) == environment  # and again
    assert AARCH64.command("cortex-a76")[-3:] == [str(AARCH64.root / "usr/bin/python3.11"), "-P", "-S"]
    assert WITHOUT_VNNI.command("Haswell-noTSX")[-2:] == [sys.executable, "-P"]


@pytest.mark.usefixtures("cache")
def test_every_runner_of_a_machine_starts_its_emulator(exported: Path) -> None:
    """With an emulator that emulates nothing, so that the answers are ours."""
    set_up(WITHOUT_VNNI)
    path = next(exported.glob("*.int8.tflite"))
    found = emulated_runners(path)
    assert len(found.absent) == 1
    (make,) = found.runners
    make_ours = default_runner(path)
    assert make_ours is not None
    with make() as there, make_ours() as here:
        assert there.name == f"{here.name}, emulated x86-64 without VNNI (Haswell)"
        assert np.array_equal(there.run(images(2))["logits"], here.run(images(2))["logits"])


def test_the_newest_runtimes_are_those_that_edgekit_is_tested_with() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()[1:]
    pins = dict(line.split("==") for line in lines)
    for wheel in {*machines.NEWEST_LITERT, *machines.NEWEST_ONNX}:
        assert pins[wheel.package] == wheel.version


def test_the_oldest_runtimes_are_those_that_edgekit_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = {r.name: r for texts in project["optional-dependencies"].values() for r in map(Requirement, texts)}
    for wheel in (*machines.OLDEST_LITERT, *machines.OLDEST_ONNX):
        if wheel.package in {"ai-edge-litert", "onnxruntime"}:
            (least,) = asked[wheel.package].specifier
            assert f"{wheel.version}.".startswith(f"{least.version}.")


@pytest.mark.parametrize(
    ("suffix", "wheels", "kernels"),
    [
        ("tflite", machines.NEWEST_LITERT, Kernels.XNNPACK),
        ("onnx", machines.NEWEST_ONNX, OptimizationLevel.ALL),
    ],
)
def test_an_emulated_raspberry_pi_has_our_integers(
    exported: Path, suffix: str, wheels: tuple[Wheel, ...], kernels: str
) -> None:
    reason = AARCH64.missing()
    if reason is not None:
        pytest.skip(reason)
    path = next(exported.glob(f"*.int8.{suffix}"))
    make_ours = default_runner(path)
    assert make_ours is not None
    with open_runner(path, Setting(AARCH64, "cortex-a76", wheels, kernels)) as there, make_ours() as here:
        assert there.name == f"{here.name}, emulated aarch64 (Cortex-A76)"
        assert there.differs_because is None
        assert np.array_equal(there.run(images(4))["logits"], here.run(images(4))["logits"])


def test_an_emulated_x86_without_vnni_says_why_it_differs(exported: Path) -> None:
    reason = WITHOUT_VNNI.missing()
    if reason is not None:
        pytest.skip(reason)
    path = next(exported.glob("*.int8.onnx"))
    with open_runner(path, Setting(WITHOUT_VNNI, "Haswell-noTSX", kernels=OptimizationLevel.EXTENDED)) as there:
        assert there.name.endswith("EXTENDED, emulated x86-64 without VNNI (Haswell)")
        assert there.differs_because == processor.SATURATES
