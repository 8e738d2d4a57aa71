"""Memory of a process, as Linux counts it."""

from __future__ import annotations

from pathlib import Path

_RESET = "5"  # "reset the peak resident set size": proc(5), /proc/pid/clear_refs


class PeakMemory:
    """The most memory that this process holds from now on."""

    def __init__(self) -> None:
        try:
            Path("/proc/self/clear_refs").write_text(_RESET, encoding="ascii")
        except OSError:  # no Linux, or a container that does not let us
            self._before_kib = None
        else:
            self._before_kib = _status_kib("self", "VmRSS")

    def risen_mib(self) -> float | None:
        """What the peak lies above the start; None where the system does not tell."""
        return None if self._before_kib is None else (peak_kib("self") - self._before_kib) / 1024


def peak_kib(process: int | str) -> int:
    """The most memory that a process has held since it was started; 0 if it has ended."""
    return _status_kib(process, "VmHWM")


def _status_kib(process: int | str, key: str) -> int:
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{key}:")), 0)
