"""Run files on emulated machines: the kernels of a Raspberry Pi, or of an x86 without VNNI, on any x86-64 Linux."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from edgekit.exporters.formats import format_of
from edgekit.runtimes import machines
from edgekit.runtimes.litert import Kernels
from edgekit.runtimes.machines import AARCH64, WITHOUT_VNNI, Machine
from edgekit.runtimes.onnx_runtime import OptimizationLevel
from edgekit.runtimes.separate import SeparateRunner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgekit.runtimes.machines import Wheel
    from edgekit.runtimes.runner import Runner


@dataclass(frozen=True, slots=True)
class Setting:
    """What a file is run with.

    Attributes:
        machine: that is emulated.
        processor: a key of its processors.
        wheels: what its Python imports; none where the machine has none of its own.
        kernels: as ``edgekit.runtimes.worker`` takes them.
    """

    machine: Machine
    processor: str
    wheels: tuple[Wheel, ...] = ()
    kernels: str = ""


@dataclass(frozen=True, slots=True)
class Emulated:
    """The emulated machines for one file.

    Attributes:
        runners: ways to run it.
        absent: for each machine that is not set up, why, and the command that does it.
    """

    runners: tuple[Callable[[], Runner], ...]
    absent: tuple[str, ...]


_PI_5: Final = "cortex-a76"
_HASWELL, *_ = WITHOUT_VNNI.processors
_SETTINGS: Final = {
    "tflite": (
        *(Setting(AARCH64, processor, machines.NEWEST_LITERT, Kernels.XNNPACK) for processor in AARCH64.processors),
        Setting(AARCH64, _PI_5, machines.OLDEST_LITERT, Kernels.XNNPACK),
        Setting(AARCH64, _PI_5, machines.NEWEST_LITERT, Kernels.BUILTIN),
        Setting(AARCH64, _PI_5, machines.TFLITE_RUNTIME, Kernels.XNNPACK),
        Setting(WITHOUT_VNNI, _HASWELL, kernels=Kernels.XNNPACK),
    ),
    "onnx": (
        *(Setting(AARCH64, processor, machines.NEWEST_ONNX, OptimizationLevel.ALL) for processor in AARCH64.processors),
        Setting(AARCH64, _PI_5, machines.OLDEST_ONNX, OptimizationLevel.ALL),
        *(Setting(WITHOUT_VNNI, _HASWELL, kernels=level) for level in OptimizationLevel),
    ),
    "torch": (Setting(WITHOUT_VNNI, _HASWELL),),
}


def emulated_runners(path: Path) -> Emulated:
    """Every way to run ``path`` on emulated machines, and why there are not more.

    Raises:
        ArtifactError: ``path`` is of no known format.
    """
    settings = _SETTINGS.get(format_of(path).name, ())
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
