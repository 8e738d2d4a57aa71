"""What somebody wants of a network on a device, and which of two candidates serves it better."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from edgekit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.pipeline.choosing.candidates import Candidate

KEPT: Final = 0.95  # of the best accuracy: what may be given up for the sake of the battery
_FORMS: Final = "fps=30, latency=12 (milliseconds), size=2MB, accuracy or battery"
_UNITS: Final = {"": 1, "b": 1, "kb": 1e3, "mb": 1e6}
Kind = Literal["fps", "latency", "size", "accuracy", "battery"]


@dataclass(frozen=True, slots=True)
class Goal:
    """What is wanted.

    Attributes:
        text: as it was given.
        kind: what of.
        most: milliseconds or bytes that are allowed; infinite where there is no limit.
    """

    text: str
    kind: Kind
    most: float = math.inf

    @property
    def is_about_latency(self) -> bool:
        """Whether a candidate without a latency cannot be judged."""
        return self.kind in {"fps", "latency", "battery"}

    def said(self) -> str:
        """In words."""
        match self.kind:
            case "fps":
                return (
                    f"{self.text.partition('=')[2]} images a second, {self.most:.3g} ms an image, as accurate as can be"
                )
            case "latency":
                return f"{self.most:.3g} ms an image at most, as accurate as can be"
            case "size":
                return f"a file of {self.most / 1e6:.3g} MB at most, as accurate as can be"
            case "accuracy":
                return "as accurate as can be"
            case "battery":
                return f"the least time an image, so the least energy, at {KEPT:.0%} or more of the best accuracy"

    def fits(self, candidate: Candidate, best: float) -> bool:
        """Whether a candidate is good enough; a predicted latency with all of its error.

        Args:
            candidate: to be judged.
            best: the highest accuracy of all candidates.
        """
        match self.kind:
            case "size":
                return candidate.largest_bytes <= self.most
            case "battery":
                return candidate.latency_ms is not None and candidate.accuracy >= KEPT * best
            case "accuracy":
                return True
        return candidate.latency_ms is not None and candidate.slowest_ms <= self.most

    def ranked(self, candidates: Sequence[Candidate]) -> tuple[list[Candidate], list[Candidate]]:
        """Those that are good enough, the best first, and the others, the nearest first."""
        best = max((one.accuracy for one in candidates), default=0.0)
        fitting = [one for one in candidates if self.fits(one, best)]
        others = [one for one in candidates if not self.fits(one, best)]
        accurate = self.kind != "battery"
        fitting.sort(key=lambda one: (-one.accuracy, one.cost) if accurate else (one.cost, -one.accuracy))
        by_size = self.kind == "size"
        others.sort(key=lambda one: one.largest_bytes if by_size else one.slowest_ms if accurate else -one.accuracy)
        return fitting, others


def goal(text: str) -> Goal:
    """What is meant by a text.

    Raises:
        ConfigError: it is no goal.

    >>> goal("fps=25"), goal("size=2MB").most
    (Goal(text='fps=25', kind='fps', most=40.0), 2000000.0)
    """
    kind, equals, value = text.strip().lower().partition("=")
    if kind == "accuracy" and not equals:
        return Goal(text, "accuracy")
    if kind == "battery" and not equals:
        return Goal(text, "battery")
    number = value.rstrip("bkm") if kind == "size" else value
    try:
        amount = float(number) * _UNITS[value[len(number) :] if kind == "size" else ""]
    except (KeyError, ValueError):
        amount = math.nan
    if not (amount > 0 and math.isfinite(amount)) or kind not in {"fps", "latency", "size"}:
        raise ConfigError(f"--goal {text!r}: choose from {_FORMS}")
    if kind == "fps":
        return Goal(text, "fps", 1e3 / amount)
    return Goal(text, "size" if kind == "size" else "latency", amount)
