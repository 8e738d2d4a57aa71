"""What this machine can do: packages, versions, and the processor's integer instructions."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edgekit.device import machine
from edgekit.device.machine import installed
from edgekit.exporters.formats import FORMATS
from edgekit.runtimes import processor
from edgekit.runtimes.catalog import RUNTIMES
from edgekit.runtimes.machines import MACHINES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.exporters.format import Format
    from edgekit.runtimes.runtime import Runtime

# Distributions that belong to no format or runtime -> (what pip installs for them, the version that edgekit was tested
# with).
_OTHERS: Final = {
    "numpy": ("edgekit", "2.4"),
    "pillow": ("edgekit", "13.0"),
    "safetensors": ("edgekit[torch]", "0.8"),
    "h5py": ("edgekit[keras]", "3"),
    "ethos-u-vela": ("edgekit[ethos-u]", "5.2"),
}


@dataclass(frozen=True, slots=True)
class Package:
    """One package that edgekit may use.

    Attributes:
        name: of the distribution.
        installed: its version, or None.
        tested: the version that edgekit was tested with.
        remedy: the command that installs it.
    """

    name: str
    installed: str | None
    tested: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """This machine.

    Attributes:
        python: its version.
        machine: processor architecture and operating system.
        cores: that this process may use.
        instructions: integer instructions of the processor, in words.
        packages: what is installed, and what is not.
        emulated: for each machine that can be emulated here, why it is not set up and how it is; None where it is.
        warnings: what will not work as hoped, and why.
    """

    python: str
    machine: str
    cores: int
    instructions: tuple[str, ...]
    packages: tuple[Package, ...]
    emulated: Mapping[str, str | None]
    warnings: tuple[str, ...]


def distributions() -> dict[str, tuple[str, str]]:
    """Distribution -> (what pip installs to get it, the version that edgekit was tested with)."""
    users: tuple[Format | Runtime, ...] = (*FORMATS.values(), *RUNTIMES.values())
    used = [(user.install, package) for user in users for package in user.distributions]
    return {**_OTHERS, **{package.name: (wanted, package.tested) for wanted, package in used if package.tested}}


def examine() -> Diagnosis:
    """Look at this machine; imports no toolchain."""
    this = machine.examine()
    packages = tuple(
        Package(name, installed(name), tested, f"pip install '{wanted}'" if "[" in wanted else f"pip install {wanted}")
        for name, (wanted, tested) in distributions().items()
    )
    warnings = [*FORMATS.failed, *RUNTIMES.failed]
    if processor.lacks_vnni():
        warnings.append(
            "this processor has no VNNI: the uint8 x int8 kernels of ONNX Runtime and torch saturate 16-bit sums "
            "here, so these files may give other integers than the reference: export --device x86 writes some that "
            "do not"
        )
    if "tflite-runtime" in this.runtimes and "ai-edge-litert" not in this.runtimes:
        warnings.append(
            "tflite-runtime rounds twice in its int8 kernels, so it cannot give the reference's integers: "
            "pip install ai-edge-litert"
        )
    return Diagnosis(
        python=this.python,
        machine=f"{this.architecture}, {platform.system()}",
        cores=this.cores,
        instructions=this.instructions,
        packages=packages,
        emulated={emulated.title: emulated.missing() for emulated in MACHINES.values()},
        warnings=tuple(warnings),
    )
