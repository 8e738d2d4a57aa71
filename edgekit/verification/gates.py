"""Gates: what a file has to pass, each with what was measured, what is allowed, and what to do where it fails.

There are five levels. A file is well-formed before it is run; floats are the trained network's and integers the
reference's before accuracy means anything; and what is right may still be too large or too slow.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from edgekit.exporters.metadata import Precision
from edgekit.verification.float_parity import FloatParity
from edgekit.verification.integer_parity import NEAR, IntegerParity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.config import VerifySettings
    from edgekit.verification.accuracy import Accuracy, Drop


class Level(IntEnum):
    """What a gate is about; the order is that in which they are looked at."""

    WELL_FORMED = 1  # the file itself, before it is run
    FLOAT = 2  # floats against the trained network
    INTEGER = 3  # integers against the reference
    TASK = 4  # accuracy on labelled images
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


def parity(found: IntegerParity | FloatParity, where: str = "") -> Gate:
    """The gate of one runner; ``where`` says at which layer it parts from the reference, if that is known."""
    if isinstance(found, FloatParity):
        measured = f"{found.max_abs_error:.2g} at most, {found.max_rel_error:.2g} of the largest"
        if found.precision is Precision.FLOAT16:
            measured += f", {found.max_ulp:.2g} ULP"
        allowed = f"{found.tolerance:g} of the largest"
        problem = (
            f"logits are off by {found.max_rel_error:.2g} of the largest one: {where or 'edgekit diff finds where'}"
        )
        level, name = (Level.FLOAT, "the trained network's logits")
    elif found.exact:
        measured = f"{found.differences.get(0, 0):,} of {found.values:,} logits identical, {found.max_lsb} LSB at most"
        allowed = f"{found.max_lsb_allowed} LSB"
        problem = (
            f"{found.values - found.differences.get(0, 0):,} of {found.values:,} logits differ, by up to "
            f"{found.max_lsb} LSB: {where or 'edgekit diff finds where'}"
        )
        level, name = Level.INTEGER, "identical integers"
    else:
        measured = f"{found.relative_rms:.0%} of the logits' spread, {found.max_lsb} LSB at most"
        allowed = f"{NEAR:.0%}"
        problem = f"integers are off by {found.relative_rms:.0%} of the logits' spread: {where or 'see edgekit diff'}"
        level, name = Level.INTEGER, "near integers"
    return Gate(level, name, found.runner, found.passed, measured, allowed, "" if found.passed else problem)


def task(
    limits: VerifySettings, accuracy: Accuracy | None, drop: Drop | None, agreement: float | None, sqnr_db: float | None
) -> tuple[Gate, ...]:
    """The gates of level 4 for which there is a limit; what is limited and was not measured fails."""
    return tuple(
        gate
        for gate in (
            _at_least("top-1", limits.min_top1, None if accuracy is None else 100 * accuracy.top1, "%"),
            _at_least("top-5", limits.min_top5, None if accuracy is None else 100 * accuracy.top5, "%"),
            _drop(limits.max_drop, drop),
            _at_least("same class as float", limits.min_agreement, None if agreement is None else 100 * agreement, "%"),
            _at_least("SQNR of the logits", limits.min_sqnr_db, sqnr_db, "dB"),
        )
        if gate is not None
    )


def _at_least(name: str, limit: float | None, value: float | None, unit: str) -> Gate | None:
    if limit is None:
        return None
    allowed = f"{limit:g} {unit} or more"
    if value is None:
        return _unmeasured(name, allowed)
    passed = value >= limit
    problem = "" if passed else f"{name} is {value:.4g} {unit}, {limit:g} {unit} or more is wanted"
    return Gate(Level.TASK, name, None, passed, f"{value:.4g} {unit}", allowed, problem)


def _drop(limit: float | None, drop: Drop | None) -> Gate | None:
    name = "drop of top-1"
    if limit is None:
        return None
    allowed = f"{limit:g} points at most"
    if drop is None:
        return _unmeasured(name, allowed)
    measured = f"{drop.points:.2f} points (95 % interval {drop.low:.2f} to {drop.high:.2f})"
    passed = drop.points <= limit
    problem = "" if passed else f"top-1 is {measured} below the float network's, {allowed} are wanted"
    return Gate(Level.TASK, name, None, passed, measured, allowed, problem)


def _unmeasured(name: str, allowed: str) -> Gate:
    return Gate(
        Level.TASK, name, None, False, "not measured", allowed,
        f"{name} has a limit and was not measured: give labelled images, --data DIR, and the trained network or its "
        f"float32 file",
    )  # fmt: skip
