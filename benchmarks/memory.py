"""Memory that a file takes: what loading and running it adds to a fresh process, at most."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.benchmarks.latency import Worker

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Every large block has a mapping of its own, which the system gets back as soon as it is freed (mallopt(3),
# M_MMAP_THRESHOLD). Else it depends on the order of small blocks what can be given back, and peaks of torch scatter by
# 10 %, those of ONNX Runtime's float files fall into two groups that lie 9 % apart.
_ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "65536"}
_RESET = "5"  # "reset the peak resident set size": proc(5), /proc/pid/clear_refs


@dataclass(frozen=True, slots=True)
class Memory:
    """Measured in a fresh process.

    Attributes:
        runner: runtime, version and kernels.
        peak_mib: what was resident at the peak, less what was before: the runtime's library, the file and what it was
            made into, and the activations; None where the system does not tell.
    """

    runner: str
    peak_mib: float | None


def measure(path: Path, batch: NDArray[np.generic], *, threads: int = 1) -> Memory:
    """Load a file and run it on zeros like ``batch`` [1, C, H, W], which it takes at its boundary.

    Raises:
        ArtifactError: the file cannot be run.
        MissingDependency: its runtime is not installed.
    """
    with Worker(path, threads=threads, warmup=0, environment=_ALLOCATOR) as worker:
        return Memory(**worker.memory(batch))


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
