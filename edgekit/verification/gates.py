"""Gates: what a file has to pass, each with what was measured, what is allowed, and what to do where it fails.

There are five levels. A file is well-formed before it is run; floats are the trained network's and integers the
reference's before accuracy means anything; and what is right may still be too large or too slow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING

from edgekit.exporters.metadata import Precision
from edgekit.tasks.statistics import Interval, share
from edgekit.verification.float_parity import FloatParity
from edgekit.verification.integer_parity import NEAR, IntegerParity
from edgekit.words import percent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgekit.config import VerifySettings
    from edgekit.tasks.classification.accuracy import Accuracy, Drop

# Of the images, the least share with the class that the float network gives, unless the user sets another. Measured on
# ImageNet networks (docs/accuracy.md): whatever edgekit's recipes make agrees on 87 % or more, other tools' files that
# lose up to 5 points of top-1 on 82 % or more, those that lose 18 points or more on 64 % or less.
LEAST_AGREEMENT = 0.75


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


def of_checkpoint(path: Path | None, *, is_of_it: bool) -> Gate:
    """The gate of a file or an integer model that has to come from a checkpoint; None is that of the other files."""
    than = path or "the other files"
    problems = [] if is_of_it else [f"it was exported from another checkpoint than {than}: export it again"]
    return well_formed("of this checkpoint", problems, "" if path is None else path.name)


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


def task(  # noqa: PLR0913 - one a measurement
    limits: VerifySettings,
    *,
    accuracy: Accuracy | None = None,
    drop: Drop | None = None,
    agreement: Interval | None = None,
    sqnr_db: float | None = None,
    kernels: str = "",
) -> tuple[Gate, ...]:
    """The gates of level 4 for which there is a limit; what is limited and was not measured fails.

    Where ``agreement`` was measured there always is one: ``LEAST_AGREEMENT``, unless the user sets another.

    Args:
        limits: what is allowed.
        accuracy: of the file, on labelled images.
        drop: of top-1 from the float network's.
        agreement: of images, how many are of the class that float says.
        sqnr_db: of the logits, against the float network's.
        kernels: of the runtime that all of it was measured in, where they give other integers than the file says:
            which, why, and what to do. Then that is why a gate fails, before anything else.
    """
    return tuple(
        replace(gate, problem=f"{gate.problem}. {kernels}") if kernels and gate.problem else gate
        for gate in (
            _at_least("top-1", limits.min_top1, None if accuracy is None else 100 * accuracy.top1, "%"),
            _at_least("top-5", limits.min_top5, None if accuracy is None else 100 * accuracy.top5, "%"),
            _drop(limits.max_drop, drop),
            _agreement(limits.min_agreement, agreement, advise=not kernels),
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


def _agreement(limit: float | None, found: Interval | None, *, advise: bool) -> Gate | None:
    """By the user's limit, or by the default one: then images have to be enough to show that it is not reached."""
    name = "same class as float"
    if limit is not None or found is None:
        return _at_least(name, limit, None if found is None else 100 * found.value, "%")
    allowed = f"{percent(LEAST_AGREEMENT)} or more"
    measured = _interval(found)
    passed = found.high >= LEAST_AGREEMENT
    problem = (
        f"it names the class that float names on {measured} of the images: quantization that works reaches {allowed}"
    )
    if advise:
        problem += ". Compare with the trained network, --checkpoint FILE; verify.min_agreement sets another limit"
    return Gate(Level.TASK, name, None, passed, measured, allowed, "" if passed else problem)


def plausible(accuracy: Accuracy, confidence: float, classes: int) -> Gate:
    """The gate of the float network itself: whether it is as good as it takes itself to be.

    It fails where the whole 95 % interval of top-1 is nearer to chance than to the mean confidence, or where top-1 is
    not above chance and could not be a third of the way from there to 1.

    Args:
        accuracy: of the float network, on labelled images.
        confidence: its mean confidence on them, 0..1.
        classes: how many there are.
    """
    found, chance = share(accuracy.top1, accuracy.images), 1 / classes
    measured = f"{_interval(found)}, where its own confidence says {percent(round(confidence, 2))}"
    at_chance = found.low <= chance and found.high < chance + (1 - chance) / 3
    far_below = found.high < (confidence + chance) / 2
    is_what = "at chance level" if at_chance else "far below what it takes itself to be"
    problem = (
        f"the float network itself is {is_what}: top-1 is {measured}. Its preprocessing or padding is not what it was "
        f"trained with, or these are not its labels: every file of it is as wrong. verify.min_top1 sets what is "
        f"expected, if that is right"
    )
    passed = not (at_chance or far_below)
    allowed = f"more than {percent(round((confidence + chance) / 2, 2))}"
    return Gate(Level.TASK, "the float network's own top-1", None, passed, measured, allowed, "" if passed else problem)


def _interval(found: Interval) -> str:
    return f"{percent(round(found.value, 3))} (95 % interval {100 * found.low:.0f} to {100 * found.high:.0f})"


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
