"""What a machine draws, by the sensor that it has.

Boards measure their supply with Texas Instruments' INA2xx and INA3221, which Linux shows below ``/sys/class/hwmon``:
microwatts in ``power1_input``, or millivolts and milliamperes in ``in1_input`` and ``curr1_input``. x86 counts the
microjoules of its packages in ``/sys/class/powercap``, which on most systems root alone may read. Sources: hwmon's
sysfs-interface and powercap in Linux's documentation.
"""

from __future__ import annotations

import threading
import time
import weakref
from typing import TYPE_CHECKING

from edgekit.device import sysfs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


EVERY_S = 0.05  # a sensor that gives watts is read


class Meter:
    """Adds up the energy of a machine from now on.

    Attributes:
        sensor: its name, and what it measures: "ina219, the board's supply"; "" where there is none.
    """

    def __init__(self, root: Path, clock: Callable[[], float] = time.perf_counter, *, every_s: float = EVERY_S) -> None:
        """Look for a sensor.

        Args:
            root: where the files of the system lie.
            clock: counts seconds.
            every_s: how often a sensor that gives watts is read, by a thread that ends with this object; 0 for never
                but when it is asked.
        """
        self._root, self._clock = root, clock
        self._power = next(_power_sensors(root), None)
        self._packages = [] if self._power is not None else list(_packages(root))
        self.sensor = self._power[0] if self._power is not None else "RAPL, processor alone" if self._packages else ""
        self._joules, self._at, self._watts = 0.0, clock(), self._now_watts()
        self._began = self._at
        self._counted, self._lock = self._counters(), threading.Lock()
        if self._power is not None and every_s:
            threading.Thread(target=_follow, args=(weakref.ref(self), every_s), daemon=True).start()

    def joules(self) -> float | None:
        """Joules from the beginning up to now; None where there is no sensor.

        Between two readings of a sensor that gives watts their mean counts.
        """
        if not self.sensor:
            return None
        with self._lock:
            return self._added()

    def mean_watts(self) -> float | None:
        """Watts from the beginning up to now; None likewise."""
        if not self.sensor:
            return None
        with self._lock:
            return self._added() / (self._at - self._began)

    def _added(self) -> float:
        at, watts, counted = self._clock(), self._now_watts(), self._counters()
        self._joules += (at - self._at) * (watts + self._watts) / 2
        for package, now, before in zip(self._packages, counted, self._counted):
            around = sysfs.number(package / "max_energy_range_uj") or 0.0  # where the counter begins again
            self._joules += (now - before + (around if now < before else 0.0)) / 1e6
        self._at, self._watts, self._counted = at, watts, counted
        return self._joules

    def _now_watts(self) -> float:
        return 0.0 if self._power is None else self._power[1]() or 0.0

    def _counters(self) -> list[float]:
        return [sysfs.number(package / "energy_uj") or 0.0 for package in self._packages]


def _follow(meter: weakref.ref[Meter], every_s: float) -> None:
    """Read a sensor as long as somebody wants to know."""
    while (wanted := meter()) is not None:
        wanted.joules()
        del wanted
        time.sleep(every_s)


def _power_sensors(root: Path) -> Iterator[tuple[str, Callable[[], float | None]]]:
    """Names of sensors of a board's supply, and what gives their watts."""
    for folder in sorted((root / "sys/class/hwmon").glob("hwmon*")):
        name = sysfs.text(folder / "name") or ""
        if not name.startswith("ina"):
            continue
        label = sysfs.text(folder / "in1_label")
        called = f"{name}, {label or 'the supply that it is wired to'}"
        for read in (_microwatts(folder), _volts_times_amperes(folder)):
            if read() is not None:
                yield called, read
                break


def _microwatts(folder: Path) -> Callable[[], float | None]:
    def watts() -> float | None:
        found = sysfs.number(folder / "power1_input")
        return None if found is None else found / 1e6

    return watts


def _volts_times_amperes(folder: Path) -> Callable[[], float | None]:
    def watts() -> float | None:
        millivolts, milliamperes = (sysfs.number(folder / f"{name}1_input") for name in ("in", "curr"))
        return None if millivolts is None or milliamperes is None else millivolts * milliamperes / 1e6

    return watts


def _packages(root: Path) -> Iterator[Path]:
    """Counters of whole processors that may be read: their parts, such as cores and memory, have a second colon."""
    for folder in sorted((root / "sys/class/powercap").glob("intel-rapl:*")):
        if folder.name.count(":") == 1 and sysfs.number(folder / "energy_uj") is not None:
            yield folder
