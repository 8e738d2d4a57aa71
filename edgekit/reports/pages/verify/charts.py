"""The small pictures of the HTML page, as inline SVG. Each says in words what it shows, for those who cannot see it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edgekit.reports.findings import signed
from edgekit.reports.kit.markup import Markup, element, join
from edgekit.words import count, decibels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgekit.tasks.values import Measured, Point
    from edgekit.verification.layers import LayerComparison

_BARS, _BAR, _HEIGHT, _TEXT = 16, 11, 44, 12  # bars of a histogram, and pixels


def histogram(differences: Mapping[int, int]) -> Markup:
    """How many logits are off by how many LSB; the heights are logarithmic, so that one among a million is seen.

    There are always 16 bars, one for what is identical and the others of 1 LSB each, or of 2, 4, 8 and so on. So
    histograms side by side can be compared, and nothing but identical logits is seen to be nothing else.
    """
    largest, total = max(differences, default=0), sum(differences.values())
    width = 2 ** max(math.ceil(math.log2(max(largest, 1) / (_BARS - 1))), 0)  # of a bar, LSB
    bins = [0] * _BARS
    for size, number in differences.items():
        bins[(size + width - 1) // width] += number
    bars = [
        element(
            "rect", element("title", f"{_span(index, width)} LSB: {count(number, 'logit')}"),
            class_="unequal" if index else "equal",
            x=index * _BAR, y=_number(_HEIGHT - height), width=_BAR - 2, height=_number(height),
        )
        for index, number in enumerate(bins)
        if (height := _height(number, total))
    ]  # fmt: skip
    said = ", ".join(f"{count(number, 'logit')} off by {size} LSB" for size, number in sorted(differences.items()))
    end = _BARS * _BAR
    return _svg(
        end, _HEIGHT + _TEXT, f"Histogram: {said}",
        element("line", class_="axis", x1=0, y1=_HEIGHT, x2=end, y2=_HEIGHT),
        *bars,
        element("text", "0", x=0, y=_HEIGHT + _TEXT - 1),
        element("text", f"{(_BARS - 1) * width} LSB", x=end, y=_HEIGHT + _TEXT - 1, text_anchor="end"),
    )  # fmt: skip


def _height(number: int, total: int) -> float:
    """0 of nothing, 3 of one, all of the picture where it is everything."""
    return 3 + (_HEIGHT - 6) * math.log(number) / math.log(max(total, 2)) if number else 0


def _span(bar: int, width: int) -> str:
    return str(bar) if width == 1 or not bar else f"{(bar - 1) * width + 1} to {bar * width}"


def interval(found: Measured, others: Sequence[Measured]) -> Markup | None:
    """A change and its interval on a line that all ``others`` fit on, with a mark at 0."""
    width, height, metric = 96, 16, found.metric
    if found.low is None or found.high is None:
        return None
    ends = [end for one in others for end in (one.low, one.high) if end is not None]
    low, high = min(0.0, *ends), max(0.0, *ends)
    span = max(high - low, 1e-9)

    def x(value: float) -> str:
        return _number(6 + (value - low) / span * (width - 12))

    said, *between = (signed(metric, value) for value in (found.value, found.low, found.high))
    return _svg(
        width, height, f"{said} {metric.unit}, 95 % interval {' to '.join(between)}",
        element("line", class_="axis", x1=x(0), y1=0, x2=x(0), y2=height),
        element("line", class_="whisker", x1=x(found.low), y1=height / 2, x2=x(found.high), y2=height / 2),
        element("circle", class_="point", cx=x(found.value), cy=height / 2, r=4),
    )  # fmt: skip


def scatter(points: Sequence[Point]) -> Markup:
    """What int8 says over what float says, with the line on which they are the same; the farthest from it is named."""
    side, margin = 320, 34
    values = [value for point in points for value in (point.expected, point.found)]
    low, high = min(values), max(values)
    span = max(high - low, 1e-9)

    def x(value: float) -> float:
        return margin + (value - low) / span * (side - 2 * margin)

    def y(value: float) -> float:
        return side - x(value)

    worst = max(points, key=lambda point: abs(point.found - point.expected))
    said = f"float {worst.expected:.3g}, int8 {worst.found:.3g}"
    ends = {"x1": x(low), "y1": y(low), "x2": x(high), "y2": y(high)}
    return _svg(
        side, side, f"int8 over float, {count(len(points), 'value')}; the farthest apart is {worst.name}: {said}",
        element("line", class_="axis", **{name: _number(value) for name, value in ends.items()}),
        *(
            element(
                "circle", element("title", f"{point.name}: float {point.expected:.3g}, int8 {point.found:.3g}"),
                class_="point", cx=_number(x(point.expected)), cy=_number(y(point.found)), r=2.5,
            )
            for point in points
        ),
        element("text", f"float {low:.3g}", x=margin, y=side - 4),
        element("text", f"{high:.3g}", x=side - margin, y=side - 4, text_anchor="end"),
        element("text", "int8", x=4, y=margin - 10),
    )  # fmt: skip


def noise(layers: Sequence[LayerComparison]) -> Markup:
    """The signal-to-noise ratio of each layer, from the first to the last; the lower the worse, and the worst is named.

    A layer without any noise is drawn at the upper end.
    """
    width, height, left, top = 1000, 240, 34, 18
    known = [layer.sqnr_db for layer in layers if math.isfinite(layer.sqnr_db)]
    low, high = (math.floor(min(known) / 10) * 10, math.ceil(max(known) / 10) * 10) if known else (0, 10)
    high = max(high, low + 10)
    step = (width - left - 8) / max(len(layers) - 1, 1)

    def y(sqnr_db: float) -> float:
        return top + (high - min(max(sqnr_db, low), high)) / (high - low) * (height - top)

    places = [(left + index * step, y(layer.sqnr_db)) for index, layer in enumerate(layers)]
    worst = min(range(len(layers)), key=lambda index: layers[index].sqnr_db)
    x, below = places[worst]
    return _svg(
        width, height + _TEXT, f"SQNR of {count(len(layers), 'layer')}; the lowest is {layer_name(layers[worst])}",
        *(
            join(
                element("line", class_="grid", x1=left, y1=_number(y(tick)), x2=width, y2=_number(y(tick))),
                element("text", f"{tick} dB", x=left - 4, y=_number(y(tick) + 3), text_anchor="end"),
            )
            for tick in range(low, high + 1, 10)
        ),
        element("polyline", class_="curve", points=" ".join(f"{_number(x)},{_number(y)}" for x, y in places)),
        *(
            element("circle", element("title", layer_name(layer)), class_="point", cx=_number(x), cy=_number(y), r=2.5)
            for layer, (x, y) in zip(layers, places, strict=True)
        ),
        element("text", layer_name(layers[worst]), class_="named", x=_number(x), y=_number(below + 12),
                text_anchor="start" if x < width / 2 else "end"),
    )  # fmt: skip


def layer_name(layer: LayerComparison) -> str:
    """A layer and its ratio."""
    return f"{layer.layer}: {decibels(layer.sqnr_db)}"


def _svg(width: float, height: float, said: str, *children: Markup) -> Markup:
    return element(
        "svg", *children, viewBox=f"0 0 {_number(width)} {_number(height)}", width=_number(width),
        height=_number(height), role="img", aria_label=said,
    )  # fmt: skip


def _number(value: float) -> str:
    """A coordinate, a tenth of a pixel fine.

    >>> _number(12.0), _number(3.14159)
    ('12', '3.1')
    """
    return f"{value:.1f}".removesuffix(".0")
