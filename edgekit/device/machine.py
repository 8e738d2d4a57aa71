"""What a machine is, and how it fares while something is measured on it.

Linux tells most of it in files, other systems tell less: what is not told is None, or empty. On a Raspberry Pi the
firmware says by ``vcgencmd`` whether it holds the clock down.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import resource
import shutil
import struct
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.device import sysfs
from edgekit.device.energy import Meter
from edgekit.device.engines import PACKAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path("/")  # where the files of the system lie

# Features of processors, as Linux names them -> what they do for int8.
INSTRUCTIONS = {
    "avx512_vnni": "int8 dot products (VNNI)",
    "avx_vnni": "int8 dot products (VNNI)",
    "asimddp": "int8 dot products (NEON dotprod)",
    "i8mm": "int8 matrix products (NEON i8mm)",
}
# CPU part of Arm (implementer 0x41) -> its core. Source: MIDR_EL1 in the technical reference manual of each, and
# arch/arm64/include/asm/cputype.h of Linux.
_ARM_PARTS = {
    "0xb76": "ARM1176",
    "0xc07": "Cortex-A7",
    "0xc09": "Cortex-A9",
    "0xc0f": "Cortex-A15",
    "0xd03": "Cortex-A53",
    "0xd04": "Cortex-A35",
    "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd09": "Cortex-A73",
    "0xd0a": "Cortex-A75",
    "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1",
    "0xd0d": "Cortex-A77",
    "0xd40": "Neoverse-V1",
    "0xd41": "Cortex-A78",
    "0xd44": "Cortex-X1",
    "0xd46": "Cortex-A510",
    "0xd47": "Cortex-A710",
    "0xd48": "Cortex-X2",
    "0xd49": "Neoverse-N2",
}
# Bits of get_throttled; 16 places higher, each says that it has been so since the start. Source: "get_throttled" in
# Raspberry Pi's documentation of vcgencmd.
_THROTTLED = {
    0: "under-voltage: the power supply is too weak",
    1: "the clock is capped",
    2: "throttled",
    3: "the soft temperature limit is reached",
}
_SINCE_START = 16


@dataclass(frozen=True)
class Machine:
    """A machine and the Python on it.

    Attributes:
        model: of the board, from its device tree ("Raspberry Pi 4 Model B Rev 1.4"); None where there is no tree.
        processor: its name, or its architecture.
        architecture: as ``uname -m`` names it.
        bits: 32 or 64, of this Python, which is what its runtimes are built for.
        cores: that this process may use.
        instructions: for int8 products, in words.
        governor: of the clock ("performance").
        clock_mhz: the lowest and highest clock that it may choose.
        memory_mib: all that there is.
        system: kernel and its release.
        libc: C library and version ("glibc 2.36").
        python: its version.
        runtimes: version by distribution, of those that are installed.
    """

    model: str | None
    processor: str
    architecture: str
    bits: int
    cores: int
    instructions: tuple[str, ...]
    governor: str | None
    clock_mhz: tuple[float, float] | None
    memory_mib: float | None
    system: str
    libc: str
    python: str
    runtimes: dict[str, str]


def examine(root: Path = ROOT) -> Machine:
    """Look at this machine; imports no runtime."""
    frequencies = root / "sys/devices/system/cpu/cpu0/cpufreq"
    ends = [sysfs.number(frequencies / f"cpuinfo_{end}_freq") for end in ("min", "max")]
    low_khz, high_khz = ends
    memory = next((line for line in sysfs.lines(root / "proc/meminfo") if line.startswith("MemTotal:")), None)
    known = flags(root)
    return Machine(
        model=sysfs.text(root / "proc/device-tree/model"),
        processor=processor(root),
        architecture=platform.machine(),
        bits=8 * struct.calcsize("P"),
        cores=cores(),
        instructions=tuple(dict.fromkeys(said for flag, said in INSTRUCTIONS.items() if flag in known)),
        governor=sysfs.text(frequencies / "scaling_governor"),
        clock_mhz=None if low_khz is None or high_khz is None else (low_khz / 1e3, high_khz / 1e3),
        memory_mib=int(memory.split()[1]) / 1024 if memory else None,
        system=f"{platform.system()} {platform.release()}",
        libc=" ".join(filter(None, platform.libc_ver())),
        python=platform.python_version(),
        runtimes={name: version for name in PACKAGES if (version := installed(name)) is not None},
    )


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor(root: Path = ROOT) -> str:
    """The processor's name where the system tells it, else its architecture."""
    said = dict(_cpuinfo(root))  # of its last core: where there are two kinds, the fast ones come last
    if "model name" in said and not said["model name"].startswith("ARM"):  # 32-bit ARM: "ARMv7 Processor rev 3 (v7l)"
        return said["model name"]
    core = _ARM_PARTS.get(said.get("CPU part", ""))
    if said.get("CPU implementer") == "0x41" and core:
        return core
    return said.get("model name") or platform.processor() or platform.machine()


def flags(root: Path = ROOT) -> set[str]:
    """The processor's features as Linux names them; empty elsewhere."""
    return {flag for key, value in _cpuinfo(root) if key in ("flags", "Features") for flag in value.split()}


def installed(name: str) -> str | None:
    """The version of a distribution; None where it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


@dataclass(frozen=True)
class Conditions:
    """How the machine fared while something was measured.

    Attributes:
        seconds: that it took.
        others_cores: how many cores other processes used, on average; None where the system does not tell.
        stolen: share of the time of all cores that the host of a virtual machine gave to others, 0..1; None likewise.
        clock_mhz: the lowest and highest clock that was seen.
        temperature_c: the highest that was seen.
        flags: what held the machine down, in words.
        watts: that the machine drew on average; None where no sensor tells.
        sensor: that told, and what it measures; "" likewise.
    """

    seconds: float
    others_cores: float | None
    stolen: float | None
    clock_mhz: tuple[float, float] | None
    temperature_c: float | None
    flags: tuple[str, ...]
    watts: float | None = None
    sensor: str = ""


class Watch:
    """Follows a machine from now on, and adds up what ``look`` sees."""

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        self._meter, self._started = Meter(root), time.perf_counter()
        self._before, self._ours_s = _processor_time(root), _our_time_s()
        self._bits, self._counts = _throttled(root), _throttle_counts(root)
        self._clocks_mhz: list[float] = []
        self._temperatures_c: list[float] = []
        self._flags: dict[str, None] = {}
        self.look()

    def look(self) -> None:
        """See how the machine fares now."""
        self._clocks_mhz += _clocks_mhz(self._root)
        self._temperatures_c += _temperatures_c(self._root)
        bits = _throttled(self._root)
        for bit, said in _THROTTLED.items():
            since_start = 1 << bit + _SINCE_START
            if bits is not None and (bits & 1 << bit or bits & since_start & ~(self._bits or 0)):
                self._flags[said] = None
        if _throttle_counts(self._root) > self._counts:
            self._flags["the processor throttled itself, it is too hot"] = None
        for device in _cooling(self._root):
            self._flags[f"the system cools by slowing down ({device})"] = None

    def conditions(self) -> Conditions:
        """What was seen up to now. Processes of ours count as ours once they have ended."""
        self.look()
        after, ours_s = _processor_time(self._root), _our_time_s() - self._ours_s
        seconds = time.perf_counter() - self._started
        others = stolen = None
        if self._before is not None and after is not None:
            ticks = os.sysconf("SC_CLK_TCK")
            busy_s, stolen_s = ((now - then) / ticks for now, then in zip(after, self._before))
            others = max(0.0, busy_s - ours_s) / seconds
            stolen = max(0.0, stolen_s) / seconds / (os.cpu_count() or 1)
        return Conditions(
            seconds,
            others,
            stolen,
            (min(self._clocks_mhz), max(self._clocks_mhz)) if self._clocks_mhz else None,
            max(self._temperatures_c, default=None),
            tuple(self._flags),
            self._meter.mean_watts(),
            self._meter.sensor,
        )


def _processor_time(root: Path) -> tuple[int, int] | None:
    """Ticks of all cores that processes ran, and that were stolen. Source: proc_stat(5), the line "cpu"."""
    first = next(iter(sysfs.lines(root / "proc/stat")), "").split()
    if len(first) < 9 or first[0] != "cpu":
        return None
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, first[1:9])
    return user + nice + system + irq + softirq, steal


def _our_time_s() -> float:
    """Processor time of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _throttled(root: Path) -> int | None:
    """The firmware's bits; None where there is no firmware that has them."""
    text = sysfs.text(root / "sys/devices/platform/soc/soc:firmware/get_throttled")  # hexadecimal, without 0x
    if text is None and root == ROOT and (program := shutil.which("vcgencmd")):
        try:
            done = subprocess.run([program, "get_throttled"], capture_output=True, text=True, timeout=5, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None
        text = done.stdout.strip().partition("=")[2] or None  # "throttled=0x50000"; an error message without access
    try:
        return None if text is None else int(text, 16)
    except ValueError:
        return None


def _throttle_counts(root: Path) -> int:
    """How often x86 cores throttled themselves since the start."""
    counters = (root / "sys/devices/system/cpu").glob("cpu[0-9]*/thermal_throttle/*_throttle_count")
    return sum(int(count) for path in counters if (count := sysfs.number(path)) is not None)


def _cooling(root: Path) -> Iterator[str]:
    """Devices that cool by lowering the clock, and are at it. Source: sysfs-api of Linux's thermal documentation."""
    for device in sorted((root / "sys/class/thermal").glob("cooling_device*")):
        kind = sysfs.text(device / "type") or ""
        lowers_clock = kind.lower().startswith(("cpufreq", "thermal-cpufreq", "processor", "cpu-"))
        if lowers_clock and sysfs.number(device / "cur_state"):
            yield kind


def _clocks_mhz(root: Path) -> list[float]:
    """Of each core, now."""
    paths = sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))
    found = [khz / 1e3 for path in paths if (khz := sysfs.number(path)) is not None]
    return found or [float(value) for key, value in _cpuinfo(root) if key == "cpu MHz"]


def _temperatures_c(root: Path) -> list[float]:
    """Of each thermal zone of the processor; of all where none has a name that says so."""
    zones = sorted((root / "sys/class/thermal").glob("thermal_zone*"))
    named = {zone: (sysfs.text(zone / "type") or "").lower() for zone in zones}
    cpu = [zone for zone, kind in named.items() if "cpu" in kind or "pkg" in kind or "soc" in kind]
    return [milli / 1e3 for zone in cpu or zones if (milli := sysfs.number(zone / "temp")) is not None]


def _cpuinfo(root: Path) -> list[tuple[str, str]]:
    """What Linux says of every core, one after the other; empty elsewhere."""
    fields = (line.partition(":") for line in sysfs.lines(root / "proc/cpuinfo"))
    return [(key.strip(), value.strip()) for key, _, value in fields]
