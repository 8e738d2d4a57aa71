"""Why figures are what they are, in words: what disturbed a measurement, and why an int8 file is not faster."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.device.machine import Conditions, Machine
    from edgekit.device.results import Row

OTHERS_SHARE = 0.25  # of all cores that other processes may use,
STOLEN_SHARE = 0.02  # of their time that the host of a virtual machine may give away,
INTERRUPTED_SHARE = 0.25  # and of runs that may be interrupted, before a result is dirty

CLEARLY_FASTER = 0.9  # the upper end of the interval of int8 / float
SHORT_MS = 1.0  # what a runtime does around the operators, some microseconds each, is a good part of shorter runs


def dirty(conditions: Conditions, machine: Machine, rows: Sequence[Row]) -> tuple[str, ...]:
    """Why the figures are not those of this machine at its best; nothing if they are."""
    reasons = list(conditions.flags)
    if conditions.others_cores is not None and conditions.others_cores > OTHERS_SHARE * machine.cores:
        reasons.append(f"other processes used {conditions.others_cores:.1f} of {machine.cores} cores")
    if conditions.stolen is not None and conditions.stolen > STOLEN_SHARE:
        reasons.append(f"the host of this virtual machine took away {conditions.stolen:.0%} of its time")
    runs, interrupted = (sum(getattr(row, name) for row in rows) for name in ("runs", "interrupted"))
    if interrupted > INTERRUPTED_SHARE * runs:
        reasons.append(f"{interrupted / runs:.0%} of the runs were interrupted by other processes")
    return tuple(reasons)


def slow_because(row: Row, machine: Machine) -> str | None:
    """Why an int8 file is not clearly faster than the float file that it is compared with.

    None if it is, or if it is no int8 file.
    """
    if row.precision != "int8" or row.ratio is None or row.ratio.value.high <= CLEARLY_FASTER:
        return None
    reasons = []
    if row.delegate_pieces == 0:
        reasons.append("no delegate takes it: it runs in the runtime's own kernels, which are slow")
    elif row.outside:
        names = ", ".join(f"{count} {name}" for name, count in Counter(row.outside).most_common())
        reasons.append(f"{names} outside of the delegate, in {row.delegate_pieces} pieces")
    elif row.delegate_pieces is not None and row.delegate_pieces > 1:
        reasons.append(f"the delegate runs it in {row.delegate_pieces} pieces")
    if not machine.instructions:
        reasons.append("this processor has no int8 dot products, so int8 saves memory and little time")
    if row.p50_ms.value < SHORT_MS:
        reasons.append(f"a run is so short ({row.p50_ms.value:.2g} ms) that much of it is the runtime's own overhead")
    return "; ".join(reasons) or "neither the runtime nor the machine says why: edgekit profile shows each operator"
