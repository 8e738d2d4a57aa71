"""What tasks speak in: metrics with name, unit and direction, what was measured of them, and answers for one image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

from edgekit.words import decibels, percent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

Outputs: TypeAlias = "Mapping[str, NDArray[Any]]"  # what a network gives for N images, [N, ...], by the output's name


class Better(StrEnum):
    """Which of two values of a metric is the better one."""

    HIGHER = "higher"
    LOWER = "lower"


@dataclass(frozen=True, slots=True)
class Metric:
    """Something that is measured of a network.

    Attributes:
        name: as ``[verify.limits]`` has it ("top1").
        title: as people say it ("top-1").
        unit: of its values: "%", "points" (differences of percentages), "dB", any other; empty for a plain number.
        better: which of two values is the better one.
    """

    name: str
    title: str
    unit: str
    better: Better

    def text(self, value: float) -> str:
        """A value with its unit, for people.

        >>> Metric("top1", "top-1", "%", Better.HIGHER).text(89.1)
        '89.1 %'
        >>> Metric("drop", "drop of top-1", "points", Better.LOWER).text(-0.5)
        '-0.50 points'
        """
        match self.unit:
            case "%":
                return percent(value / 100)
            case "dB":
                return decibels(value)
            case _:
                return f"{self.number(value)} {self.unit}".rstrip()

    def number(self, value: float) -> str:
        """A value without its unit, as fine as it is read: points to the hundredth, all else to three digits."""
        return f"{value:.2f}" if self.unit == "points" else f"{value:.3g}"

    def allowed(self, limit: float) -> str:
        """What a limit lets pass, in words."""
        unit = f" {self.unit}" if self.unit else ""
        return f"{limit:g}{unit} {'or more' if self.better is Better.HIGHER else 'at most'}"

    def reaches(self, value: float, limit: float) -> bool:
        """Whether a value keeps a limit; NaN does not."""
        return value >= limit if self.better is Better.HIGHER else value <= limit


@dataclass(frozen=True, slots=True)
class Measured:
    """A value of a metric.

    Attributes:
        metric: what was measured.
        value: in the metric's unit.
        low: lower end of its 95 % interval; None where none is known.
        high: upper end, likewise.
    """

    metric: Metric
    value: float
    low: float | None = None
    high: float | None = None


class Answer(ABC):
    """What a network, or the target of an image, says of one image; each task has a frozen class of its own."""

    __slots__ = ()

    @property
    @abstractmethod
    def text(self) -> str:
        """It in a few words ("tabby cat")."""

    @property
    @abstractmethod
    def lines(self) -> tuple[str, ...]:
        """All of it, the most likely first ("tabby cat 93.1 %", "tiger cat 4.2 %")."""

    @abstractmethod
    def contradicts(self, right: Answer) -> bool:
        """Whether it is wrong if ``right`` is right."""
