"""Files on a device that is elsewhere: connect, check, time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.device.engines import KINDS
from edgekit.errors import GateFailed
from edgekit.pipeline.measuring.bench import BenchResult
from edgekit.progress import Progress, silent
from edgekit.remote.adb import AdbDevice
from edgekit.remote.address import parse
from edgekit.remote.ssh import SshDevice

if TYPE_CHECKING:
    from collections.abc import Collection

    from edgekit.pipeline.measuring.bench import Planned
    from edgekit.pipeline.measuring.bundle import Luggage


def connect(address: str, *, python: str | None = None, engines: Collection[str] = ()) -> SshDevice | AdbDevice:
    """A device, to be used in a ``with`` block. ssh may ask for a password on the terminal.

    Args:
        address: ssh://[user@]host[:port] or adb://[serial].
        python: to be used there; None for the one that has the most of what is needed.
        engines: of the files that it is to run.

    Raises:
        BadInput: its disk is full.
        ConfigError: there is no such address.
        DeviceUnreachable: there is no connection, or no access.
        MissingDependency: there is no ssh or adb here, or not there what does the work: Python, or benchmark_model.
    """
    where = parse(address)
    if where.scheme == "adb":
        return AdbDevice(where)
    modules = ("numpy", *(module for engine in engines or KINDS for module in KINDS[engine].modules))
    return SshDevice(where, python=python, modules=modules)


def bench_on(
    device: SshDevice | AdbDevice, planned: Planned, luggage: Luggage, *, progress: Progress = silent
) -> BenchResult:
    """Check files on a device, and time them if they answer what they have to.

    Args:
        device: that is connected.
        planned: what is to be measured.
        luggage: what that takes with it.
        progress: told about every file and every lap.

    Raises:
        ArtifactError: a file cannot be run there.
        BadInput: they do not fit on its disk.
        DeviceUnreachable: the connection was lost.
        GateFailed: a file answers something else than here.
        MissingDependency: a file's runtime is not installed there.
    """
    device.send(luggage.contents, progress)
    checked = device.check(progress)
    wrong = [f"{file.path} ({file.runner}): {file.sentence}" for file in checked if not file.passed]
    if wrong:
        raise GateFailed(f"{'; '.join(wrong)}. Nothing was timed: edgekit verify shows whether the file is right here")
    results = device.bench(progress)
    extras = tuple(name for name, path in luggage.paths.items() if str(path) in planned.extras)
    return BenchResult(results, extras, planned.left_out, device.address.text, checked)
