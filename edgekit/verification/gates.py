"""Gates: what a file has to pass, each with what was measured, what is allowed, and what to do where it fails.

There are five levels. A file is well-formed before it is run; floats are the trained network's and integers the
reference's before accuracy means anything; and what is right may still be too large or too slow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING, TypeVar

from edgekit.exporters.metadata import Precision
from edgekit.tasks.scoring import metrics
from edgekit.tasks.values import Better, measured_as
from edgekit.verification.class_parity import ClassParity
from edgekit.verification.detection_parity import DetectionParity
from edgekit.verification.float_parity import FloatParity
from edgekit.verification.integer_parity import NEAR

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from edgekit.tasks.task import Task
    from edgekit.tasks.values import Measured, Metric, Nearness, Plausibility
    from edgekit.verification.compare import Parity

T = TypeVar("T")


class Level(IntEnum):
    """What a gate is about; the order is that in which they are looked at."""

    WELL_FORMED = 1  # the file itself, before it is run
    FLOAT = 2  # floats against the trained network
    INTEGER = 3  # integers against the reference
    TASK = 4  # what the network is for: its metrics, and how near to float it is
    BUDGET = 5  # latency, size, memory

    @property
    def title(self) -> str:
        """As people say it."""
        return {1: "well-formed", 2: "float parity", 3: "integer parity", 4: "task", 5: "budget"}[self.value]


@dataclass(frozen=True, slots=True)
class Gate:
    """One thing that a file has to pass.

    Attributes:
        level: what it is about.
        name: what is asked ("identical integers"); unique in a file and runner.
        runner: runtime, version and kernels, where it was run.
        passed: whether it did.
        measured: with its unit.
        limit: what is allowed, with its unit.
        problem: of a gate that failed: what is wrong and where, and what to do next.
    """

    level: Level
    name: str
    runner: str | None
    passed: bool
    measured: str
    limit: str = ""
    problem: str = ""


def well_formed(name: str, problems: Sequence[str], measured: str) -> Gate:
    """A gate of the file itself, which ``problems`` close; ``measured`` is said where there are none."""
    others = f"; and {len(problems) - 1} more" if len(problems) > 1 else ""
    count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
    return Gate(
        Level.WELL_FORMED, name, None, not problems, count if problems else measured, "none",
        f"{problems[0]}{others}" if problems else "",
    )  # fmt: skip


def of_checkpoint(path: Path | None, *, is_of_it: bool) -> Gate:
    """The gate of a file or an integer model that has to come from a checkpoint; None is that of the other files."""
    than = path or "the other files"
    problems = [] if is_of_it else [f"it was exported from another checkpoint than {than}: export it again"]
    return well_formed("of this checkpoint", problems, "" if path is None else path.name)


def parity(found: Parity, where: str = "") -> Gate:
    """The gate of one runner; ``where`` says at which layer it parts from the reference, if that is known."""
    if isinstance(found, DetectionParity):
        measured, allowed = found.said(), f"{found.least:.0%} of the boxes, {found.tolerance:g} off"
        problem = f"suppression leaves other {found.values_of()}: {found.wrong}"
        problem += f"; {where}" if where else ", though its operators and their numbers are what they have to be"
        level, name = Level.INTEGER if found.least == 1 else Level.FLOAT, "the boxes of edgekit's own suppression"
    elif isinstance(found, ClassParity):
        measured = f"{found.values - found.differing:,} of {found.values:,} {found.values_of()} identical"
        allowed = f"{100 * found.allowed:g} % may differ" if found.allowed else "all"
        problem = (
            f"{found.differing:,} of {found.values:,} {found.values_of()} have another class: "
            f"{where or 'edgekit diff finds where'}"
        )
        level = Level.INTEGER if found.precision is Precision.INT8 else Level.FLOAT
        name = f"identical {found.output}" if not found.allowed else f"near {found.output}"
    elif isinstance(found, FloatParity):
        measured = f"{found.max_abs_error:.2g} at most, {found.max_rel_error:.2g} of the largest"
        if found.precision is Precision.FLOAT16:
            measured += f", {found.max_ulp:.2g} ULP"
        allowed = f"{found.tolerance:g} of the largest"
        problem = (
            f"{found.values_of()} are off by {found.max_rel_error:.2g} of the largest one: "
            f"{where or 'edgekit diff finds where'}"
        )
        level, name = Level.FLOAT, f"the trained network's {found.values_of()}"
    elif found.exact:
        measured = f"{found.differences.get(0, 0):,} of {found.values:,} {found.values_of()} identical, "
        measured += f"{found.max_lsb} LSB at most"
        allowed = f"{found.max_lsb_allowed} LSB"
        problem = (
            f"{found.values - found.differences.get(0, 0):,} of {found.values:,} {found.values_of()} differ, by up to "
            f"{found.max_lsb} LSB: {where or 'edgekit diff finds where'}"
        )
        level, name = Level.INTEGER, "identical integers"
    else:
        measured = f"{found.relative_rms:.0%} of the spread of {found.values_of()}, {found.max_lsb} LSB at most"
        allowed = f"{NEAR:.0%}"
        problem = (
            f"integers are off by {found.relative_rms:.0%} of the spread of {found.values_of()}: "
            f"{where or 'see edgekit diff'}"
        )
        level, name = Level.INTEGER, "near integers"
    return Gate(level, name, found.ran(), found.passed, measured, allowed, "" if found.passed else problem)


def task(
    judged: Task[T],
    measured: Sequence[Measured],
    limits: Mapping[str, float],
    *,
    noise: bool = False,
    kernels: str = "",
) -> tuple[Gate, ...]:
    """The gates of level 4 for which there is a limit; what is limited and was not measured fails.

    Where nearness was measured there always is one, that of the task, unless the user sets another.

    Args:
        judged: what the network is for.
        measured: what was measured of a file.
        limits: what the user allows, by the names of metrics.
        noise: the images are none of the network's kind, so nearness on them says nothing unless the user wants it to.
        kernels: of the runtime that all of it was measured in, where they give other integers than the file says:
            which, why, and what to do. Then that is why a gate fails, before anything else.
    """
    found = []
    for metric in metrics(judged):
        value = measured_as(metric.name, measured)
        if metric.name in limits:
            found.append(_limited(metric, value, limits[metric.name]))
        elif metric == judged.nearness.metric and value is not None and not noise:
            found.append(_near(judged.nearness, value, advise=not kernels))
    return tuple(
        replace(gate, problem=f"{gate.problem}. {kernels}") if kernels and gate.problem else gate for gate in found
    )


def _limited(metric: Metric, found: Measured | None, limit: float) -> Gate:
    """Whether a value keeps the limit that the user set."""
    allowed = metric.allowed(limit)
    if found is None:
        return _unmeasured(metric.title, allowed)
    passed, wanted = metric.reaches(found.value, limit), "wanted" if metric.better is Better.HIGHER else "allowed"
    problem = "" if passed else f"{metric.title} is {found.text()}, {allowed} is {wanted}"
    return Gate(Level.TASK, metric.title, None, passed, found.text(), allowed, problem)


def _near(asked: Nearness, found: Measured, *, advise: bool) -> Gate:
    """Whether a file is as near to float as any that works; images have to be enough to show that it is not."""
    allowed = asked.metric.allowed(asked.least)
    passed = (found.value if found.high is None else found.high) >= asked.least
    problem = f"{asked.words.format(found.text())}: quantization that works reaches {allowed}"
    if advise:
        name = asked.metric.name
        problem += f". Compare with the trained network, --checkpoint FILE; verify.limits.{name} sets another limit"
    return Gate(Level.TASK, asked.metric.title, None, passed, found.text(), allowed, "" if passed else problem)


def plausible(found: Plausibility) -> Gate:
    """The gate of the float network itself: whether it is as good as it has to be."""
    return Gate(Level.TASK, found.name, None, not found.problem, found.measured, found.limit, found.problem)


def _unmeasured(name: str, allowed: str) -> Gate:
    return Gate(
        Level.TASK, name, None, False, "not measured", allowed,
        f"{name} has a limit and was not measured: give labelled images, --data DIR, and the trained network or its "
        f"float32 file",
    )  # fmt: skip
