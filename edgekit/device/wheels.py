"""Which runtime's wheel fits this Python, and the command that installs it.

What wheels there are says each engine (``edgekit.device.engines``): what the package index lists for Linux, read in
November 2026, python and platform tags of every wheel. A newer Python may have got wheels since; older than the range
means that pip finds none, or only what edgekit is not tested with.
"""

from __future__ import annotations

import platform
import re
import struct
import sys
import sysconfig
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.device.engines import KINDS, PACKAGES
from edgekit.device.engines.engine import NUMPY_1
from edgekit.device.machine import installed
from edgekit.errors import MissingDependency

if TYPE_CHECKING:
    from collections.abc import Collection

    from edgekit.device.engines.engine import Wheels

_ON_LINUX = ("glibc", "musl", "bionic")


@dataclass(frozen=True)
class Python:
    """The interpreter that runs on a device.

    Attributes:
        version: of it.
        path: where it lies.
        processor: what its programs are for, which may be less than the processor is: "armv7l" is 32-bit Arm.
        libc: its name and version, ("glibc", (2, 36)); pip's wheels are made for glibc.
        is_environment: it is a virtual environment's own.
        is_managed: the system's packages are installed by the system alone (PEP 668).
    """

    version: tuple[int, int]
    path: str
    processor: str
    libc: tuple[str, tuple[int, int]]
    is_environment: bool
    is_managed: bool


@dataclass(frozen=True)
class Runtime:
    """One runtime on a device.

    Attributes:
        package: its name.
        installed: its version; None where it is not.
        remedy: the command that installs it, or why there is none.
        fits: there is such a command.
    """

    package: str
    installed: str | None
    remedy: str
    fits: bool


def this_python() -> Python:
    """The interpreter that runs this."""
    managed = Path(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
    return Python(
        version=sys.version_info[:2],
        path=sys.executable,
        processor=_processor(platform.machine(), 8 * struct.calcsize("P")),
        libc=_libc(),
        is_environment=sys.prefix != sys.base_prefix,
        is_managed=managed.exists(),
    )


def _processor(machine: str, bits: int) -> str:
    """What programs are for; a 32-bit system tells the name of the 64-bit processor that it runs on.

    >>> _processor("aarch64", 32), _processor("arm64", 64), _processor("AMD64", 64)
    ('armv7l', 'aarch64', 'x86_64')
    """
    if bits == 32:
        return "armv7l" if machine in {"aarch64", "armv8l"} else "i686" if machine == "x86_64" else machine
    return {"arm64": "aarch64", "AMD64": "x86_64"}.get(machine, machine)


def _libc() -> tuple[str, tuple[int, int]]:
    """Name and version; Android's and musl are told by neither."""
    name, version = platform.libc_ver()
    found = re.match(r"(\d+)\.(\d+)", version)
    if name == "glibc" and found:
        return name, (int(found[1]), int(found[2]))
    if hasattr(sys, "getandroidapilevel"):
        return "bionic", (0, 0)
    return ("musl" if sys.platform == "linux" else sys.platform), (0, 0)


def runtimes(python: Python) -> tuple[Runtime, ...]:
    """Every runtime, whether it is installed for the Python that runs this, and what would do that."""
    return tuple(Runtime(package, installed(package), *remedy(python, package)) for package in PACKAGES)


def remedy(python: Python, package: str) -> tuple[str, bool]:
    """What there is to type to get a package, and True; or why there is nothing, and what to do instead, and False."""
    for wheels in _wheels_of(package):
        if (
            python.processor in wheels.processors
            and wheels.oldest <= python.version <= wheels.newest
            and python.libc[0] == "glibc"
            and python.libc[1] >= wheels.glibc
        ):
            return _command(python, " ".join(filter(None, (package, wheels.also)))), True
    if python.libc[0] not in _ON_LINUX:
        return _command(python, package), True  # of macOS, pip knows more than this table
    return f"there is no wheel of {package} for {_why_not(python, package)}", False


def _wheels_of(package: str) -> list[Wheels]:
    return [wheels for kind in KINDS.values() for wheels in kind.wheels if wheels.package == package]


def _why_not(python: Python, package: str) -> str:
    mine = _wheels_of(package)
    if not any(python.processor in wheels.processors for wheels in mine):
        if python.processor.startswith("arm"):
            return (
                f"32-bit Arm ({python.processor}): install the 64-bit system, which every Raspberry Pi from 3 on runs"
            )
        return f"{python.processor}: use another machine"
    if python.libc[0] != "glibc":
        return {
            "bionic": "Android's own libc: run Debian in Termux (proot-distro) and the Python in there",
            "musl": "musl: use a system with glibc, such as Debian",
        }[python.libc[0]]
    mine = [wheels for wheels in mine if python.processor in wheels.processors]
    oldest, newest = min(wheels.oldest for wheels in mine), max(wheels.newest for wheels in mine)
    if oldest <= python.version <= newest:
        return f"glibc {python.libc[1][0]}.{python.libc[1][1]} and Python {_dotted(python.version)}: update the system"
    served = f"{_dotted(oldest)} to {_dotted(newest)}"
    return f"Python {_dotted(python.version)} on {python.processor}: name one of {served} by --set bench.python=PATH"


def _command(python: Python, packages: str) -> str:
    if python.is_environment or not python.is_managed:
        return f"{python.path} -m pip install {packages}"
    if python.processor == "armv7l":  # numpy has no such wheels, but Debian has it, and of version 1
        system, packages = "sudo apt install python3-numpy && ", packages.replace(f" {NUMPY_1}", "")
        return f"{system}python3 -m venv --system-site-packages ~/venv && ~/venv/bin/pip install {packages}"
    return f"python3 -m venv ~/venv && ~/venv/bin/pip install {packages}"


def require(engines: Collection[str]) -> None:
    """Make sure that every engine has a runtime here.

    Raises:
        MissingDependency: one has none; the message holds the command that fits this machine.
    """
    for kind in (KINDS[name] for name in sorted(engines) if KINDS[name].packages):  # others say it themselves
        packages = kind.packages
        if find_spec("numpy") is None or not any(map(find_spec, kind.modules)):
            python = this_python()
            answers = [remedy(python, package) for package in packages]
            chosen = next((text for text, fits in answers if fits), answers[0][0])
            raise MissingDependency(f"{python.path} has no {' or '.join(packages)}: {chosen}")


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
