"""How long single images take, and whether the machine was left alone meanwhile."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.device import machine
from edgekit.device.reasons import dirty
from edgekit.pipeline.diagnosing.diagnosis import Latency

if TYPE_CHECKING:
    from collections.abc import Callable

RUNS: Final = 100  # as the usual diagnosis has it: 100 batches, here of one image
WARM_UP: Final = 10


def timed(run: Callable[[], object], *, threads: int) -> Latency:
    """The times of ``RUNS`` calls, after ``WARM_UP`` that do not count."""
    for _ in range(WARM_UP):
        run()
    times_ms = np.empty(RUNS)
    for number in range(RUNS):
        started = time.perf_counter()
        run()
        times_ms[number] = 1e3 * (time.perf_counter() - started)
    p50, p95 = np.percentile(times_ms, (50, 95))
    return Latency(
        threads=threads,
        runs=RUNS,
        mean_ms=float(times_ms.mean()),
        std_ms=float(times_ms.std(ddof=1)),
        min_ms=float(times_ms.min()),
        p50_ms=float(p50),
        p95_ms=float(p95),
        max_ms=float(times_ms.max()),
    )


class Watch:
    """What else the machine did while files were timed."""

    def __init__(self) -> None:
        self._watch, self._machine = machine.Watch(), machine.examine()

    @property
    def cores(self) -> int:
        """Of the machine."""
        return self._machine.cores

    def disturbed(self) -> tuple[str, ...]:
        """Why times are not those of this machine at its best; nothing if they are."""
        return dirty(self._watch.conditions(), self._machine, ())
