"""What tasks speak in: metrics with name, unit and direction, what was measured of them, answers, and differences."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeAlias, TypeVar

from edgekit.words import decibels, percent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from edgekit.facts import Fact

T = TypeVar("T")

TARGETS: Final = "labels"  # the fact that says how the targets of images are known
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
        """A value without its unit: points to the hundredth, percent whole, all else to three digits."""
        match self.unit:
            case "points":
                return f"{value:.2f}"
            case "%":
                return f"{value:.0f}"
            case _:
                return f"{value:.3g}"

    def allowed(self, limit: float) -> str:
        """What a limit lets pass, in words."""
        unit = f" {self.unit}" if self.unit else ""
        return f"{limit:g}{unit} {'or more' if self.better is Better.HIGHER else 'at most'}"

    def prefers(self, value: float, other: float) -> bool:
        """Whether a value is better than another; NaN is not, and nothing is better than it."""
        return value > other if self.better is Better.HIGHER else value < other

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

    def text(self) -> str:
        """It with its unit and interval, for people."""
        if self.low is None or self.high is None:
            return self.metric.text(self.value)
        value = round(self.value, 1) if self.metric.unit == "%" else self.value
        low, high = map(self.metric.number, (self.low, self.high))
        return f"{self.metric.text(value)} (95 % interval {low} to {high})"


def measured_as(name: str, found: Iterable[Measured]) -> Measured | None:
    """The one of ``found`` whose metric has this name; None where it was not measured."""
    return next((one for one in found if one.metric.name == name), None)


@dataclass(frozen=True, slots=True)
class Nearness:
    """How near the answers of two networks are, as a share: what is asked where nobody set a limit.

    Attributes:
        metric: "agreement", in percent.
        least: percent; what quantization that works reaches.
        words: what is wrong below that, with {} for what was measured.
    """

    metric: Metric
    least: float
    words: str


@dataclass(frozen=True, slots=True)
class Understood(Generic[T]):
    """The targets of images, and how they are known.

    Attributes:
        targets: of all images, as the task has them; None where they are not known or cannot be trusted.
        fact: how that is known; None where the images come without any.
    """

    targets: T | None
    fact: Fact | None


@dataclass(frozen=True, slots=True)
class Plausibility:
    """Whether a network is as good as it has to be to be worth measuring others against it.

    Attributes:
        name: what was looked at.
        measured: in words.
        limit: what is allowed, in words.
        problem: what is wrong, and what to do next; empty where nothing is.
    """

    name: str
    measured: str
    limit: str
    problem: str


class Answer(ABC):
    """What a network, or the target of an image, says of one image; each task has a frozen class of its own."""

    __slots__ = ()

    are_alternatives: ClassVar[bool] = False  # whether at most one of its lines is right

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


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Images of which two networks say different things, the same two of each.

    Attributes:
        expected: what the float network says.
        found: what the integer model says.
        images: their names.
    """

    expected: str
    found: str
    images: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Point:
    """A number as two networks have it.

    Attributes:
        expected: the float network's.
        found: the integer model's.
        name: of the image, and of the number where there are several.
    """

    expected: float
    found: float
    name: str


@dataclass(frozen=True, slots=True)
class Differences:
    """Where the integer model says something else than the float network.

    Attributes:
        sentence: on how many images, in words.
        disagreements: the most telling first.
        categories: everything that can be said, in order, where that is a list of names: then pairs can be tabulated.
        points: of numbers, as many as a picture can show.
    """

    sentence: str
    disagreements: tuple[Disagreement, ...] = ()
    categories: tuple[str, ...] = ()
    points: tuple[Point, ...] = ()
