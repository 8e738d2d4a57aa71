"""Which runtime's wheel fits this Python, and the command that installs it.

The table is what the package index lists for Linux, read in November 2026: python and platform tags of every wheel. A
newer Python may have got wheels since; older than the range means that pip finds none, or only what edgekit is not
tested with.
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

from edgekit.device.machine import installed
from edgekit.errors import MissingDependency

if TYPE_CHECKING:
    from collections.abc import Collection

# Engine -> packages that it can do with, the best first, and the modules that these are imported by.
RUNTIMES = {"litert": ("ai-edge-litert", "tflite-runtime"), "onnxruntime": ("onnxruntime",), "torch": ("torch",)}
MODULES = {engine: tuple(p.replace("-", "_") for p in packages) for engine, packages in RUNTIMES.items()}


@dataclass(frozen=True)
class Wheels:
    """Wheels of one package that are alike.

    Attributes:
        package: its name.
        processors: as ``Python.processor`` names them.
        oldest: Python that has them.
        newest: likewise.
        glibc: the oldest that they take.
        also: what has to be told to pip besides.
    """

    package: str
    processors: tuple[str, ...]
    oldest: tuple[int, int]
    newest: tuple[int, int]
    glibc: tuple[int, int]
    also: str = ""


_BOTH = ("aarch64", "x86_64")
_ON_LINUX = ("glibc", "musl", "bionic")
_NUMPY_1 = "'numpy<2'"  # tflite-runtime is built for it
_WHEELS = (
    Wheels("ai-edge-litert", _BOTH, (3, 10), (3, 14), (2, 27)),
    Wheels("ai-edge-litert", _BOTH, (3, 9), (3, 12), (2, 17)),
    Wheels("tflite-runtime", ("aarch64", "armv7l"), (3, 9), (3, 11), (2, 34), _NUMPY_1),
    Wheels("tflite-runtime", ("aarch64", "armv7l"), (3, 9), (3, 10), (2, 17), _NUMPY_1),
    Wheels("tflite-runtime", ("x86_64",), (3, 9), (3, 11), (2, 17), _NUMPY_1),
    Wheels("onnxruntime", _BOTH, (3, 11), (3, 14), (2, 28)),
    Wheels("onnxruntime", _BOTH, (3, 9), (3, 10), (2, 27)),
    Wheels("torch", _BOTH, (3, 10), (3, 14), (2, 28)),
)


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
    return tuple(
        Runtime(package, installed(package), *remedy(python, package))
        for packages in RUNTIMES.values()
        for package in packages
    )


def remedy(python: Python, package: str) -> tuple[str, bool]:
    """What there is to type to get a package, and True; or why there is nothing, and what to do instead, and False."""
    for wheels in _WHEELS:
        if (
            wheels.package == package
            and python.processor in wheels.processors
            and wheels.oldest <= python.version <= wheels.newest
            and python.libc[0] == "glibc"
            and python.libc[1] >= wheels.glibc
        ):
            return _command(python, " ".join(filter(None, (package, wheels.also)))), True
    if python.libc[0] not in _ON_LINUX:
        return _command(python, package), True  # of macOS, pip knows more than this table
    return f"there is no wheel of {package} for {_why_not(python, package)}", False


def _why_not(python: Python, package: str) -> str:
    mine = [wheels for wheels in _WHEELS if wheels.package == package]
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
        system, packages = "sudo apt install python3-numpy && ", packages.replace(f" {_NUMPY_1}", "")
        return f"{system}python3 -m venv --system-site-packages ~/venv && ~/venv/bin/pip install {packages}"
    return f"python3 -m venv ~/venv && ~/venv/bin/pip install {packages}"


def require(engines: Collection[str]) -> None:
    """Make sure that every engine has a runtime here.

    Raises:
        MissingDependency: one has none; the message holds the command that fits this machine.
    """
    for engine in RUNTIMES.keys() & engines:  # what others need, they say themselves
        packages = RUNTIMES[engine]
        if find_spec("numpy") is None or not any(map(find_spec, MODULES[engine])):
            python = this_python()
            answers = [remedy(python, package) for package in packages]
            chosen = next((text for text, fits in answers if fits), answers[0][0])
            raise MissingDependency(f"{python.path} has no {' or '.join(packages)}: {chosen}")


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
