"""Energy by sensors of made-up systems: what is added up is what was put there."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from edgekit.device.energy import Meter
from edgekit.device.machine import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


def write(root: Path, files: Mapping[str, object]) -> Path:
    for name, content in files.items():
        path = root / "sys/class" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n", encoding="ascii")
    return root


def seconds(*at: float) -> Iterator[float]:
    return iter(at)


INA219 = {"hwmon/hwmon0/name": "cpu_thermal", "hwmon/hwmon1/name": "ina219", "hwmon/hwmon1/power1_input": 3_000_000}
INA3221 = {
    "hwmon/hwmon2/name": "ina3221",
    "hwmon/hwmon2/in1_label": "VDD_IN",
    "hwmon/hwmon2/in1_input": 5000,
    "hwmon/hwmon2/curr1_input": 800,
}
RAPL = {
    "powercap/intel-rapl:0/energy_uj": 9_000_000,
    "powercap/intel-rapl:0/max_energy_range_uj": 10_000_000,
    "powercap/intel-rapl:0:0/energy_uj": 1,  # cores, which the package holds
    "powercap/intel-rapl:1/energy_uj": 500_000,
}


def test_watts_are_added_up_over_time(tmp_path: Path) -> None:
    clock = seconds(0.0, 2.0, 3.0)
    meter = Meter(write(tmp_path, INA219), clock.__next__, every_s=0)
    assert meter.sensor == "ina219, the supply that it is wired to"
    assert meter.joules() == pytest.approx(6.0)
    write(tmp_path, {"hwmon/hwmon1/power1_input": 5_000_000})
    assert meter.joules() == pytest.approx(6.0 + 4.0)


def test_volts_and_amperes_are_watts(tmp_path: Path) -> None:
    clock = seconds(0.0, 0.5)
    meter = Meter(write(tmp_path, INA3221), clock.__next__, every_s=0)
    assert meter.sensor == "ina3221, VDD_IN"
    assert meter.joules() == pytest.approx(2.0)  # 5 V times 0.8 A for half a second


def test_counters_of_packages_begin_again(tmp_path: Path) -> None:
    meter = Meter(write(tmp_path, RAPL))
    assert meter.sensor == "RAPL, processor alone"
    assert meter.joules() == 0
    write(tmp_path, {"powercap/intel-rapl:0/energy_uj": 2_000_000, "powercap/intel-rapl:1/energy_uj": 700_000})
    assert meter.joules() == pytest.approx(3.0 + 0.2)


def test_a_sensor_is_read_by_itself(tmp_path: Path) -> None:
    """What it showed between two questions counts: 4 W for most of the time, and 2 at both ends."""
    clock = [0.0]
    meter = Meter(write(tmp_path, {**INA219, "hwmon/hwmon1/power1_input": 2_000_000}), lambda: clock[0], every_s=0.001)
    write(tmp_path, {"hwmon/hwmon1/power1_input": 4_000_000})
    time.sleep(0.05)
    clock[0] = 10.0
    time.sleep(0.05)
    write(tmp_path, {"hwmon/hwmon1/power1_input": 2_000_000})
    assert meter.joules() == pytest.approx(40.0)


def test_nothing_is_told_where_there_is_no_sensor(tmp_path: Path) -> None:
    meter = Meter(write(tmp_path, {"hwmon/hwmon0/name": "ina219"}))  # it does not say what it measures
    assert (meter.sensor, meter.joules()) == ("", None)
    fared = Watch(tmp_path).conditions()
    assert (fared.watts, fared.sensor) == (None, "")


def test_a_measurement_says_what_the_machine_drew(tmp_path: Path) -> None:
    fared = Watch(write(tmp_path, INA219)).conditions()
    assert fared.watts == pytest.approx(3.0)
    assert fared.sensor.startswith("ina219")
