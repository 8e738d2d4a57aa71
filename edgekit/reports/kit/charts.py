"""Charts of pages: points and lines over two axes, bars, and a table coloured by its values.

Each has a title, a sentence that says what to see, and axes with units. Charts of points and lines are inline SVG; bars
and coloured tables are HTML, so long names of layers wrap on a narrow page.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edgekit.reports.kit.markup import Markup, element, join, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 560, 340, 58, 16, 26, 48  # pixels
COLOURS: Final = 5  # of series; style.css has them
_TICKS: Final = 5
_STEPS: Final = (1, 2, 2.5, 5, 10)
# Series differ by shape, too, for those who cannot tell the colours apart; each is centred on 0, 0.
_SHAPES: Final = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z", "M-3.5-3.5h7v7h-7z", "M0-5 5 4-5 4z", "M0-5 5 0 0 5-5 0z", "M0 5-5-4 5-4z"
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Axis:
    """What an axis shows.

    Attributes:
        title: "latency of int8".
        unit: "ms"; empty of what is counted.
        logarithmic: whether equal steps are equal ratios. All values have to be above 0 then.
    """

    title: str
    unit: str = ""
    logarithmic: bool = False

    @property
    def said(self) -> str:
        """Title and unit.

        >>> Axis("latency", "ms").said, Axis("images").said
        ('latency, ms', 'images')
        """
        return f"{self.title}, {self.unit}" if self.unit else self.title


@dataclass(frozen=True, slots=True)
class Series:
    """Points of one kind.

    Attributes:
        name: in the legend.
        points: of x and y. What is not finite is not drawn.
        labels: what each point is, shown under the pointer; none where that says nothing.
        joined: whether a line goes through them, in their order.
    """

    name: str
    points: Sequence[tuple[float, float]]
    labels: Sequence[str] = ()
    joined: bool = False


@dataclass(frozen=True, slots=True)
class Bar:
    """A row of bars.

    Attributes:
        name: of the row.
        values: one a series, 0 or more; None where there is none.
        text: what stands behind the row, "1.2 ms, 40 %".
    """

    name: str
    values: Sequence[float | None]
    text: str = ""


def plot(title: str, says: str, x: Axis, y: Axis, series: Sequence[Series]) -> Markup:
    """Points and lines over two axes.

    Args:
        title: of the chart.
        says: in a sentence, what to see.
        x: the axis across.
        y: the axis upwards.
        series: what is drawn, the first one in front; at most ``COLOURS`` of them have colours of their own.
    """
    drawn = [_finite(one) for one in series]
    points = [point for one in drawn for point in one.points]
    across = _Scale.of([point[0] for point in points], x, LEFT, WIDTH - RIGHT)
    upwards = _Scale.of([point[1] for point in points], y, HEIGHT - BOTTOM, TOP)
    pictures = [_series(one, number, across, upwards) for number, one in enumerate(drawn)]
    svg = element(
        "svg", *_axes(across, upwards, x, y), *reversed(pictures),
        viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=f"{title}. {says}",
    )  # fmt: skip
    legend = _legend([one.name for one in series]) if len(series) > 1 else None
    return _figure(title, says, legend, element("div", svg, class_="plot"))


def bars(title: str, says: str, axis: Axis, rows: Sequence[Bar], series: Sequence[str] = ()) -> Markup:
    """A row of bars a name, all to one scale that begins at 0.

    Args:
        title: of the chart.
        says: in a sentence, what to see.
        axis: of the bars' length. It cannot be logarithmic.
        rows: from the top.
        series: names of the bars in a row, where there are several.
    """
    longest = max((value for row in rows for value in row.values if value is not None), default=0.0) or 1.0
    drawn = [
        element(
            "div",
            element("span", row.name, class_="name"),
            element("span", *(
                element("span", class_=f"bar s{number % COLOURS}", style=f"width:{100 * value / longest:.1f}%")
                for number, value in enumerate(row.values) if value is not None
            ), class_="lane"),
            element("span", row.text, class_="text") if row.text else None,
            role="listitem",
        )
        for row in rows
    ]  # fmt: skip
    scale = element("p", f"{axis.said}; the longest bar is {longest:,.4g}", class_="note")
    legend = _legend(series) if len(series) > 1 else None
    return _figure(title, says, legend, element("div", *drawn, class_="bars", role="list", aria_label=title), scale)


def heat(
    title: str,
    says: str,
    rows: tuple[str, Sequence[str]],
    columns: tuple[str, Sequence[str]],
    cells: Sequence[Sequence[tuple[float, str]]],
) -> Markup:
    """A table whose cells are the darker, the larger their values.

    Args:
        title: of the chart.
        says: in a sentence, what to see.
        rows: what a row stands for, "true class", and the rows' names.
        columns: likewise of columns.
        cells: of each row, values of 0 or more, and what is written there.
    """
    largest = max((value for row in cells for value, _ in row), default=0.0) or 1.0
    body = [
        [name, *(_coloured(value / largest, text) for value, text in row)]
        for name, row in zip(rows[1], cells, strict=True)
    ]
    titles = [f"{rows[0]} ↓, {columns[0]} →", *(f">{name}" for name in columns[1])]
    return join(element("h3", title), element("p", says), table(titles, body, title))


def _coloured(share: float, text: str) -> str:
    return element("span", text, class_="count", style=f"--share:{share:.2f}") if share else text


def _figure(title: str, says: str, *content: Markup | None) -> Markup:
    caption = element("figcaption", element("h3", title), element("p", says))
    return element("figure", caption, *content, class_="chart")


def _legend(names: Sequence[str]) -> Markup:
    entries = [
        element("li", element("svg", element("path", d=_shape(number), class_=_colour(number)), viewBox="-6 -6 12 12",
                              role="img", aria_label=f"mark of {name}"), name)
        for number, name in enumerate(names)
    ]  # fmt: skip
    return element("ul", *entries, class_="legend")


def _finite(series: Series) -> Series:
    kept = [number for number, point in enumerate(series.points) if all(map(math.isfinite, point))]
    labels = [series.labels[number] for number in kept] if series.labels else ()
    return Series(series.name, [series.points[number] for number in kept], labels, series.joined)


def _series(series: Series, number: int, across: _Scale, upwards: _Scale) -> Markup:
    places = [(across.at(x), upwards.at(y)) for x, y in series.points]
    line = element("polyline", class_=_colour(number), points=" ".join(f"{x:.1f},{y:.1f}" for x, y in places))
    labels = series.labels or [""] * len(places)
    marks = [
        element(
            "path", element("title", label) if label else None,
            d=_shape(number), class_=_colour(number), transform=f"translate({x:.1f} {y:.1f})",
        )
        for (x, y), label in zip(places, labels, strict=True)
    ]  # fmt: skip
    return join(line if series.joined else None, *marks)


def _shape(number: int) -> str:
    return _SHAPES[number % len(_SHAPES)]


def _colour(number: int) -> str:
    return f"s{number % COLOURS}"


@dataclass(frozen=True, slots=True)
class _Scale:
    """From values to pixels: ``ticks`` are written beside the axis, and its ends are the first and the last of them."""

    ticks: Sequence[float]
    start: float
    end: float
    logarithmic: bool

    @classmethod
    def of(cls, values: Sequence[float], axis: Axis, start: float, end: float) -> _Scale:
        """A scale on which all values have room."""
        low, high = (min(values), max(values)) if values else (1.0, 2.0)
        return cls((_decades if axis.logarithmic else _round_values)(low, high), start, end, axis.logarithmic)

    def at(self, value: float) -> float:
        """Where a value lies, in pixels."""
        first, last, here = map(math.log10 if self.logarithmic else float, (self.ticks[0], self.ticks[-1], value))
        return self.start + (self.end - self.start) * (here - first) / (last - first)


def _round_values(low: float, high: float) -> list[float]:
    """Multiples of a round step, from below the lowest value to above the highest.

    >>> _round_values(0.13, 0.42)
    [0.1, 0.2, 0.3, 0.4, 0.5]
    >>> _round_values(70, 70)
    [69.4, 69.6, 69.8, 70.0, 70.2, 70.4, 70.6]
    """
    if high == low:
        low, high = low - 0.5, high + 0.5
    rough = (high - low) / _TICKS
    power = 10 ** math.floor(math.log10(rough))
    step = next(step * power for step in _STEPS if step * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _decades(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten, from below the lowest value to above the highest; powers alone where many.

    >>> _decades(0.3, 4)
    [0.2, 0.5, 1.0, 2.0, 5.0]
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1
    steps = (1, 2, 5) if last - first < _TICKS else (1,)
    every = [float(f"{step}e{power}") for power in range(first, last + 1) for step in steps]
    start = max((value for value in every if value <= low), default=every[0])
    end = min((value for value in every if value >= high and value > start), default=every[-1])
    return [value for value in every if start <= value <= end]


def _axes(across: _Scale, upwards: _Scale, x: Axis, y: Axis) -> Iterator[Markup]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    for value in upwards.ticks:
        at = f"{upwards.at(value):.1f}"
        yield element("line", class_="grid", x1=LEFT, y1=at, x2=right, y2=at)
        yield element("text", f"{value:,.6g}", x=LEFT - 6, y=f"{upwards.at(value) + 4:.1f}", text_anchor="end")
    for value in across.ticks:
        at = f"{across.at(value):.1f}"
        yield element("line", class_="grid", x1=at, y1=TOP, x2=at, y2=bottom)
        yield element("text", f"{value:,.6g}", x=at, y=bottom + 16, text_anchor="middle")
    yield element("text", y.said, class_="axis-title", x=4, y=TOP - 12)
    yield element("text", x.said, class_="axis-title", x=right, y=HEIGHT - 8, text_anchor="end")
