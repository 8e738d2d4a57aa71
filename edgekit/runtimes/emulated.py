"""Run files on emulated machines: the kernels of a Raspberry Pi, or of an x86 without VNNI, on any x86-64 Linux."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from edgekit.exporters.formats import format_of
from edgekit.runtimes.catalog import runtimes_of
from edgekit.runtimes.separate import SeparateRunner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgekit.runtimes.machines import Setting
    from edgekit.runtimes.runner import Runner


@dataclass(frozen=True, slots=True)
class Emulated:
    """The emulated machines for one file.

    Attributes:
        runners: ways to run it.
        absent: for each machine that is not set up, why, and the command that does it.
    """

    runners: tuple[Callable[[], Runner], ...]
    absent: tuple[str, ...]


def emulated_runners(path: Path) -> Emulated:
    """Every way to run ``path`` on emulated machines, and why there are not more.

    Raises:
        ArtifactError: ``path`` is of no known format.
    """
    settings = [setting for runtime in runtimes_of(format_of(path).name) for setting in runtime.emulated]
    absent = {setting.machine.name: setting.machine.missing() for setting in settings}
    return Emulated(
        tuple(partial(open_runner, path, setting) for setting in settings if not absent[setting.machine.name]),
        tuple(reason for reason in absent.values() if reason),
    )


def open_runner(path: Path, setting: Setting) -> SeparateRunner:
    """Load ``path`` on an emulated machine that is set up. Its time says nothing about the real one.

    Raises:
        ArtifactError: the runtime refuses the file or crashes, or the emulator does.
    """
    machine, processor = setting.machine, setting.processor
    return SeparateRunner(
        path,
        setting.kernels,
        machine.command(processor),
        machine.environment(setting.wheels),
        where=f"emulated {machine.title} ({machine.processors[processor]})",
    )
