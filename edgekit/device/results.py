"""What was measured, as values and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from edgekit.device.machine import Conditions, Machine
from edgekit.device.statistics import Interval


@dataclass(frozen=True)
class Ratio:
    """Latency of a file over that of another one that took turns with it.

    Attributes:
        baseline: path of the other file, as planned.
        value: of both medians, with its interval: one ratio a lap.
    """

    baseline: str
    value: Interval


@dataclass(frozen=True)
class Row:
    """One file with so many threads and images at once.

    Attributes:
        path: as planned.
        precision: as planned.
        runner: runtime, version and kernels.
        threads: that one run may use.
        batch: images of one run.
        size_bytes: of the file.
        p50_ms: median time of one run, of all its images, with its interval.
        p90_ms: 90th percentile, of all laps together.
        p99_ms: 99th percentile, likewise.
        laps_ms: the median of each lap.
        runs: that were timed.
        interrupted: of them, because something else had the processor meanwhile: the figures are of the others.
        warmup_runs: of a process before it was timed, median of the laps.
        cold_start_ms: from the start of the process to its first result, median of the laps.
        load_ms: of that, from the file to an engine that is ready.
        first_ms: of that, the first run.
        peak_mib: what loading and running adds to a fresh process, at its peak; None where the system does not tell.
        delegate_pieces: partitions that a delegate runs; None where the runtime has none.
        outside: operators that are left to the runtime's slower kernels.
        ratio: to the file's baseline; None where it has none.
        slow_because: why an int8 file is not clearly faster than a float baseline, as far as engine and machine tell;
            None where it is.
    """

    path: str
    precision: str
    runner: str
    threads: int
    batch: int
    size_bytes: int
    p50_ms: Interval
    p90_ms: float
    p99_ms: float
    laps_ms: tuple[float, ...]
    runs: int
    interrupted: int
    warmup_runs: float
    cold_start_ms: float
    load_ms: float
    first_ms: float
    peak_mib: float | None
    delegate_pieces: int | None
    outside: tuple[str, ...]
    ratio: Ratio | None
    slow_because: str | None


@dataclass(frozen=True)
class Refusal:
    """A file that does not take so many images at once.

    Attributes:
        path: as planned.
        batch: images of one run.
        reason: in words.
    """

    path: str
    batch: int
    reason: str


@dataclass(frozen=True)
class Results:
    """Everything that one measurement found.

    Attributes:
        rows: one a file and condition, in the order of the plan.
        refused: what could not be timed.
        machine: that it was measured on.
        conditions: how that fared meanwhile.
        dirty: why the figures are not those of this machine at its best; empty if they are.
        laps: fresh processes of each file.
    """

    rows: tuple[Row, ...]
    refused: tuple[Refusal, ...]
    machine: Machine
    conditions: Conditions
    dirty: tuple[str, ...]
    laps: int

    def to_json(self) -> str:
        """As text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Results:
        """The inverse of ``to_json``."""
        values = json.loads(text)
        return cls(
            rows=tuple(map(_row, values["rows"])),
            refused=tuple(Refusal(**refusal) for refusal in values["refused"]),
            machine=Machine(**_tuples(values["machine"])),
            conditions=Conditions(**_tuples(values["conditions"])),
            dirty=tuple(values["dirty"]),
            laps=values["laps"],
        )


def _row(values: dict[str, Any]) -> Row:
    ratio = values["ratio"]
    known = {
        "p50_ms": Interval(**values["p50_ms"]),
        "ratio": None if ratio is None else Ratio(ratio["baseline"], Interval(**ratio["value"])),
    }
    return Row(**{**_tuples(values), **known})


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    """JSON knows lists alone, frozen values have tuples."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
