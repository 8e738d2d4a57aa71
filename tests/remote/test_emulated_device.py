"""The whole way to a device whose Python, numpy and LiteRT are for aarch64: OpenSSH, then an emulated Cortex-A72."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest

from edgekit.device.plan import Plan, PlannedFile
from edgekit.pipeline.measuring.bench import Planned
from edgekit.pipeline.measuring.bundle import pack
from edgekit.pipeline.measuring.device import bench_on, connect
from edgekit.runtimes.machines import AARCH64, NEWEST_LITERT

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Device  # noqa: TID252 - fixtures have no other home


@pytest.fixture
def emulated(device: Device) -> Device:
    """One whose python3 is emulated, and so is every process that it starts."""
    if missing := AARCH64.missing():
        pytest.skip(missing)
    python3 = device.folder / "bin" / "python3"
    emulator, *options, python, _, _ = AARCH64.command("cortex-a72")
    # It takes itself for the script, so that children are emulated, too; its library is then no longer beside it.
    command = [emulator, "-0", str(python3), *options, python, "-S"]
    path = ":".join(str(AARCH64.folder / wheel.folder) for wheel in NEWEST_LITERT)
    python3.write_text(
        f"#!/bin/sh\nexport PYTHONHOME={AARCH64.root}/usr PYTHONPATH=$PYTHONPATH:{path}\n"
        f'exec {shlex.join(command)} "$@"\n',
        encoding="utf-8",
    )
    return device


def test_a_device_of_another_kind(emulated: Device, request: pytest.FixtureRequest) -> None:
    exported: Path = request.getfixturevalue("exported")  # not before it is known that there is such a machine
    files = sorted(exported.glob("*.int8.tflite"))
    luggage = pack(Plan(tuple(PlannedFile(str(path), "litert", precision="int8") for path in files), laps=1))
    with connect(emulated.address, engines=["litert"]) as there:
        found = there.examine()
        assert found.python is not None
        assert (found.machine.processor, found.python.processor, found.machine.bits) == ("Cortex-A72", "aarch64", 64)
        result = bench_on(there, Planned(luggage.plan, (), ()), luggage)
    assert [(file.images, file.different) for file in result.checked] == [(4, 0)]
    assert all(row.runner.endswith("XNNPACK") for row in result.results.rows)
    assert emulated.leftovers() == []
