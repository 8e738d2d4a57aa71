"""What machines say of themselves, from files as a Raspberry Pi, a phone and a server have them."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from edgekit.device import machine, sysfs
from edgekit.device.machine import Watch, examine
from edgekit.pipeline.proving.emulation import HASWELL_CPUINFO

if TYPE_CHECKING:
    from pathlib import Path

PI_4 = {
    "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
    "proc/cpuinfo": "processor\t: 0\nFeatures\t: fp asimd crc32\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\n",
    "proc/meminfo": "MemTotal:        3884396 kB\nMemFree: 1 kB\n",
    "proc/stat": "cpu  100 0 100 9000 0 0 0 0 0 0\n",
    "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_min_freq": "600000\n",
    "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": "1800000\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1800000\n",
    "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": "600000\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "51121\n",
    "sys/class/thermal/thermal_zone1/type": "wifi\n",
    "sys/class/thermal/thermal_zone1/temp": "99000\n",
    "sys/devices/platform/soc/soc:firmware/get_throttled": "0\n",
}


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture
def pi(tmp_path: Path) -> Path:
    return write(tmp_path, PI_4)


def test_a_raspberry_pi(pi: Path) -> None:
    found = examine(pi)
    assert found.model == "Raspberry Pi 4 Model B Rev 1.4"
    assert found.processor == "Cortex-A72"
    assert found.governor == "ondemand"
    assert found.clock_mhz == (600.0, 1800.0)
    assert found.memory_mib == pytest.approx(3793.4, abs=0.1)
    assert found.instructions == ()


@pytest.mark.parametrize(
    ("cpuinfo", "name", "instructions"),
    [
        (
            "CPU implementer: 0x41\nCPU part: 0xd0b\nFeatures: asimd asimddp\n",
            "Cortex-A76",
            ("int8 dot products (NEON dotprod)",),
        ),
        ("CPU part: 0xd03\nCPU implementer: 0x41\n\nCPU implementer: 0x41\nCPU part: 0xd08\n", "Cortex-A72", ()),
        ("model name: ARMv7 Processor rev 3 (v7l)\nCPU implementer: 0x41\nCPU part: 0xd08\n", "Cortex-A72", ()),
        ("model name: ARMv7 Processor rev 3 (v7l)\nCPU part: 0xfff\n", "ARMv7 Processor rev 3 (v7l)", ()),
        (HASWELL_CPUINFO, "Intel Core Processor (Haswell, no TSX), emulated", ()),
        ("model name: Xeon\nflags: avx512_vnni avx_vnni\n", "Xeon", ("int8 dot products (VNNI)",)),
    ],
)
def test_processors(tmp_path: Path, cpuinfo: str, name: str, instructions: tuple[str, ...]) -> None:
    write(tmp_path, {"proc/cpuinfo": cpuinfo})
    assert machine.processor(tmp_path) == name
    assert examine(tmp_path).instructions == instructions


def test_where_linux_does_not_run(tmp_path: Path) -> None:
    found = examine(tmp_path)
    assert (found.model, found.governor, found.clock_mhz, found.memory_mib) == (None, None, None, None)
    assert found.processor
    assert found.bits in {32, 64}
    fared = Watch(tmp_path).conditions()
    assert (fared.others_cores, fared.stolen, fared.clock_mhz, fared.temperature_c, fared.flags) == (None,) * 4 + ((),)


def test_this_machine() -> None:
    found = examine()
    assert found.cores >= 1
    assert "." in found.python
    assert Watch().conditions().seconds >= 0


def test_clocks_and_temperatures_while_something_runs(pi: Path) -> None:
    watch = Watch(pi)
    write(pi, {"sys/class/thermal/thermal_zone0/temp": "79000"})
    watch.look()
    write(pi, {"sys/class/thermal/thermal_zone0/temp": "60000"})
    fared = watch.conditions()
    assert (fared.clock_mhz, fared.temperature_c, fared.flags) == ((600.0, 1800.0), 79.0, ())


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("0", "0", []),
        ("0", "1", ["under-voltage"]),
        ("0", "e", ["capped", "throttled", "temperature limit"]),
        ("0", "50000", ["under-voltage", "throttled"]),  # over again, between two looks
        ("50000", "50000", []),  # before we came
        ("50000", "50005", ["under-voltage", "throttled"]),
    ],
)
def test_what_the_firmware_says(pi: Path, before: str, after: str, said: list[str]) -> None:
    name = "sys/devices/platform/soc/soc:firmware/get_throttled"
    write(pi, {name: before})
    watch = Watch(pi)
    write(pi, {name: after})
    flags = watch.conditions().flags
    assert len(flags) == len(said)
    assert all(word in flag for word, flag in zip(said, flags, strict=True))


def test_the_firmware_is_asked_by_its_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysfs, "text", lambda _: None)
    monkeypatch.setattr(shutil, "which", lambda _: "vcgencmd")
    answers = {"throttled=0x50005\n": 0x50005, "VCHI initialization failed\n": None, "": None}
    for answer, bits in answers.items():
        monkeypatch.setattr(
            subprocess, "run", lambda *_, answer=answer, **__: subprocess.CompletedProcess([], 0, answer)
        )
        assert machine._throttled(machine.ROOT) == bits


def test_other_ways_to_be_too_hot(tmp_path: Path) -> None:
    counter = "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count"
    cooling = "sys/class/thermal/cooling_device0"
    write(tmp_path, {counter: "7", f"{cooling}/type": "cpufreq-cpu0", f"{cooling}/cur_state": "0"})
    write(
        tmp_path,
        {"sys/class/thermal/cooling_device1/type": "pwm-fan", "sys/class/thermal/cooling_device1/cur_state": "3"},
    )
    watch = Watch(tmp_path)
    assert watch.conditions().flags == ()
    write(tmp_path, {counter: "8", f"{cooling}/cur_state": "2"})
    assert watch.conditions().flags == (
        "the processor throttled itself, it is too hot",
        "the system cools by slowing down (cpufreq-cpu0)",
    )


def test_other_load_and_stolen_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([10.0, 20.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(now))
    ours = iter([1.0, 6.0])
    monkeypatch.setattr(machine, "_our_time_s", lambda: next(ours))
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(os, "sysconf", lambda _: 100)
    watch = Watch(write(tmp_path, {"proc/stat": "cpu  1000 0 0 5000 0 0 0 0 0 0\n"}))
    write(tmp_path, {"proc/stat": "cpu  1500 100 100 5900 0 50 50 200 0 0\n"})
    fared = watch.conditions()
    assert fared.others_cores == pytest.approx((8.0 - 5.0) / 10.0)  # of 8 s of work, 5 were ours
    assert fared.stolen == pytest.approx(2.0 / 10.0 / 2)
