"""What is wrong with finished files where they run: int8 far from float, slow operators, threads, a busy machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edgekit.diagnosis.finding import Finding, Trouble
from edgekit.words import count, percent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgekit.tasks.values import Measured, Nearness
    from edgekit.verification.layers import LayerComparison

# A file's operators beside each other: what takes so much of the time,
DOMINATES: Final = 0.2
# and so many times as much of it as of the multiplications and bytes that its kind of work needs, is slow.
OUT_OF_PROPORTION: Final = 4.0
DROPPED: Final = 2.0  # points of the first metric, that the whole interval of the drop has to exceed
NO_FASTER: Final = 1.0  # a run with more threads over one with a single thread


@dataclass(frozen=True, slots=True)
class Int8:
    """An int8 file beside the float network.

    Attributes:
        path: of the file.
        drop: of its first metric, where targets are known.
        agreement: of the answers.
        nearness: what quantization that works reaches.
        fall: the layer in which the signal is lost, where it is known.
    """

    path: str
    drop: Measured | None
    agreement: Measured
    nearness: Nearness
    fall: LayerComparison | None


def of_int8(file: Int8, remedy: str) -> Iterator[Finding]:
    """Whether an int8 file answers otherwise than the float network; ``remedy`` exports without naming a layer."""
    path, drop, agreement, nearness, fall = file.path, file.drop, file.agreement, file.nearness, file.fall
    worse = drop is not None and drop.low is not None and drop.low > DROPPED
    far = agreement.value < nearness.least
    if not (worse or far):
        return
    layer = "" if fall is None else fall.layer
    where = "" if fall is None else f"; most of it is lost in {fall.layer}, whose SQNR falls to {fall.sqnr_db:.1f} dB"
    lost = "" if drop is None else f"{drop.metric.title} {drop.text()}, "
    yield Finding(
        Trouble.INT8_WORSE,
        f"{path} is much worse than the float network" + (f": {layer} loses most." if layer else "."),
        f"{lost}{agreement.metric.title} {agreement.text()}{where}",
        f"{remedy} --keep-float {layer}" if layer else remedy,
    )


def of_threads(times: Sequence[tuple[str, int, float]], cores: int, remedy: str) -> Iterator[Finding]:
    """Threads that only wait for each other.

    Args:
        times: of each file, its name, how many threads, and the median time of a run, milliseconds.
        cores: of the machine.
        remedy: this diagnosis, without a number of threads.
    """
    single = {name: ms for name, threads, ms in times if threads == 1}
    for name, threads, ms in times:
        if threads > 1 and name in single and (threads > cores or ms > NO_FASTER * single[name]):
            yield Finding(
                Trouble.TOO_MANY_THREADS,
                f"{threads} threads are too many on this machine.",
                f"{name} takes {ms:.3g} ms with {threads} threads, {single[name]:.3g} ms with one; the machine has "
                f"{count(cores, 'core')}",
                f"{remedy} --threads {1 if ms > single[name] else cores}",
            )
            return


def of_conditions(disturbed: Sequence[str], remedy: str) -> Iterator[Finding]:
    """Whether the machine was busy, or throttled itself, while it was timed."""
    yield Finding(
        Trouble.BUSY_MACHINE,
        "The machine was not at its best while files were timed, so their times are too long.",
        "; ".join(disturbed),
        f"{remedy}  # when nothing else runs",
    )


def of_operators(path: str, times: Sequence[tuple[str, str, float, float]], remedy: str) -> Iterator[Finding]:
    """An operator that takes far more of a file's time than of its work.

    Args:
        path: of the file.
        times: of each operator, its layer, what it does, its microseconds, and those that the machine would need at
            best (``timing.roofline``).
        remedy: a command.
    """
    total, bound = sum(us for *_, us, _ in times), sum(best for *_, best in times)
    if not total or not bound:
        return
    slow = [
        (us / total, best / bound, layer, kind)
        for layer, kind, us, best in times
        if layer and us >= DOMINATES * total and us / total > OUT_OF_PROPORTION * best / bound
    ]
    if not slow:
        return
    taken, due, layer, kind = max(slow)
    yield Finding(
        Trouble.SLOW_OPERATOR,
        f"One operator of {path} is far slower than its work explains: the {kind} of {layer}.",
        f"{percent(round(taken, 3))} of the time for {percent(round(due, 3))} of the work",
        remedy,
    )
