"""What a file may cost, against the baseline that was kept on purpose: size, memory, share of int8 operators, latency.

Size and share are counted and do not scatter; what is allowed of size is room for labels and other texts. Memory and
latency are measured of both files, here and now: another machine or runtime has other figures for the same file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit import words
from edgekit.verification.gates import Gate, Level

if TYPE_CHECKING:
    from collections.abc import Callable

_SIZE, _INT8_SHARE, _MEMORY, _LATENCY = "size", "int8 operators", "memory", "latency"
_ON_PURPOSE = "if that is wanted, keep it as the new baseline: edgekit baseline"


@dataclass(frozen=True, slots=True)
class Limits:
    """Largest ratios of a file to its baseline.

    Attributes:
        max_size_ratio: of sizes.
        max_memory_ratio: of memory, which scatters by less than half a percent (``edgekit.device.workers``).
        max_latency_ratio: of latencies: halfway, as a ratio, between no change and 15 % more, so that a false alarm is
            as far away as a miss.
    """

    max_size_ratio: float
    max_memory_ratio: float
    max_latency_ratio: float


def size(size_bytes: int, baseline_bytes: int, max_ratio: float) -> Gate:
    """Whether a file has not grown."""
    return _at_most(_SIZE, size_bytes, baseline_bytes, max_ratio, lambda value: words.size(round(value)))


def memory(peak_mib: float, baseline_mib: float, max_ratio: float, runner: str) -> Gate:
    """Whether loading and running it takes no more memory."""
    return _at_most(_MEMORY, peak_mib, baseline_mib, max_ratio, lambda value: f"{value:.1f} MiB", runner=runner)


def int8_share(share: float, baseline_share: float) -> Gate:
    """Whether as many of its operators as before compute in integers, of 0..1."""
    passed = share >= baseline_share
    measured, allowed = words.percent(share), f"{words.percent(baseline_share)} or more"
    problem = f"{measured} of its operators are in int8, {allowed} are wanted: edgekit inspect names the others"
    return Gate(Level.BUDGET, _INT8_SHARE, None, passed, measured, allowed, "" if passed else problem)


def latency(
    ratio: float, interval: tuple[float, float], milliseconds: tuple[float, float], max_ratio: float, runner: str
) -> Gate:
    """Whether it is not slower.

    Args:
        ratio: of its latency to the baseline's.
        interval: where the ratio lies with 95 % confidence.
        milliseconds: of a run of both, the baseline's last.
        max_ratio: that is allowed.
        runner: runtime, version and kernels.
    """
    passed, (low, high) = ratio <= max_ratio, interval
    measured = (
        f"{ratio:.3f} of the baseline's (95 % interval {low:.3f} to {high:.3f}), "
        f"{milliseconds[0]:.2f} ms against {milliseconds[1]:.2f} ms"
    )
    if low <= max_ratio <= high:
        measured += "; this machine is too noisy to be sure"
    return Gate(
        Level.BUDGET, _LATENCY, runner, passed, measured, _ratio(max_ratio),
        "" if passed else f"latency is {measured}: {_ON_PURPOSE}",
    )  # fmt: skip


def unchanged() -> tuple[Gate, ...]:
    """The gates of a file that is the baseline's, byte for byte: it costs the same, unmeasured."""
    return tuple(
        Gate(Level.BUDGET, name, None, True, "the same bytes as the baseline")
        for name in (_SIZE, _INT8_SHARE, _MEMORY, _LATENCY)
    )


def unknown(baseline: str) -> Gate:
    """The gate of a file that was never kept, which nothing opens but to keep it."""
    return Gate(
        Level.BUDGET, "baseline", None, False, "there is none of this file", "",
        f"{baseline} holds no file of this name to compare it with: {_ON_PURPOSE}",
    )  # fmt: skip


def _at_most(  # noqa: PLR0913 - a gate and its words
    name: str,
    value: float,
    baseline: float,
    max_ratio: float,
    shown: Callable[[float], str],
    *,
    runner: str | None = None,
) -> Gate:
    passed = value <= max_ratio * baseline
    measured = f"{shown(value)}, {value / baseline:.3f} of the baseline's {shown(baseline)}"
    problem = "" if passed else f"{name} is {measured}: {_ON_PURPOSE}"
    return Gate(Level.BUDGET, name, runner, passed, measured, _ratio(max_ratio), problem)


def _ratio(max_ratio: float) -> str:
    return f"{max_ratio:g} of the baseline's at most"
