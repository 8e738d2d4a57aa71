"""Results as plain text, for a terminal that knows ASCII and a Python that has nothing installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.device.check import Checked
    from edgekit.device.machine import Machine
    from edgekit.device.results import Results, Row

_COLUMNS = ("file", "threads", "batch", "p50 ms", "interval", "p90 ms", "p99 ms", "ratio", "cold ms", "MiB")


def results_table(results: Results) -> str:
    """Each file under each condition, and what there is to know about the figures."""
    rows = [_cells(row) for row in results.rows]
    lines = [machine_line(results.machine), *aligned([list(_COLUMNS), *rows], left=1)]
    lines += [f"{row.path}: {row.slow_because}" for row in results.rows if row.slow_because is not None]
    lines += [refusal.reason for refusal in results.refused]
    fared = results.conditions
    lines += [] if fared.watts is None else [f"{fared.watts:.1f} W on average: {fared.sensor}"]
    lines += [f"DIRTY: {reason}" for reason in results.dirty]
    return "\n".join(lines)


def check_lines(checked: Sequence[Checked]) -> str:
    """What was found of each file, before anything was timed."""
    return "\n".join(f"{_word(file):5}  {file.path}: {file.sentence}" for file in checked)


def _word(file: Checked) -> str:
    if not file.passed:
        return "WRONG"
    return "other" if file.different else "ok"


def machine_line(machine: Machine) -> str:
    """The machine in one line.

    It says first what a board is called, where it has a name.
    """
    memory = "" if machine.memory_mib is None else f", {machine.memory_mib / 1024:.1f} GiB"
    names = ", ".join(dict.fromkeys(filter(None, (machine.model, machine.processor))))
    return (
        f"{names}, {machine.cores} cores{memory}, {machine.system}, {machine.bits}-bit Python {machine.python}, "
        f"{machine.libc or 'unknown libc'}"
    )


def aligned(rows: Sequence[Sequence[str]], *, left: int) -> list[str]:
    """Lines of a table, the first ``left`` columns of which begin flush, the others end so.

    >>> aligned([["file", "ms"], ["net", "12.5"]], left=1)
    ['file    ms', 'net   12.5']
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(w) if i < left else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths))).rstrip()
        for row in rows
    ]


def _cells(row: Row) -> list[str]:
    p50 = row.p50_ms
    return [
        row.path,
        str(row.threads),
        str(row.batch),
        f"{p50.value:.3f}",
        f"{p50.low:.3f}-{p50.high:.3f}",
        f"{row.p90_ms:.3f}",
        f"{row.p99_ms:.3f}",
        "" if row.ratio is None else f"{row.ratio.value.value:.2f}",
        f"{row.cold_start_ms:.0f}",
        "" if row.peak_mib is None else f"{row.peak_mib:.1f}",
    ]
