"""What a search tried, and the networks that no other beats, as an SVG file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from edgekit import files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgekit.pipeline.making.search import SearchResult

FILE: Final = "front.svg"
_WIDTH, _HEIGHT, _LEFT, _TOP, _BELOW, _RIGHT = 640, 360, 64, 64, 48, 20  # pixels
_TICKS: Final = 4
_STYLE = """
  svg { color: #1f2328; font: 11px ui-monospace, Menlo, Consolas, monospace } .ground { fill: #ffffff }
  text { fill: currentColor } .quiet { opacity: .65 } .grid { stroke: currentColor; opacity: .15 }
  .title { font-size: 14px; font-weight: bold } polyline { fill: none; stroke: #0969da; stroke-width: 2 }
  circle { fill: currentColor; opacity: .3 } circle.front { fill: #0969da; opacity: 1 }
  circle.chosen { fill: #bc4c00; opacity: 1 }
  @media (prefers-color-scheme: dark) {
    svg { color: #e6edf3 } .ground { fill: #0d1117 } polyline { stroke: #4493f8 } circle.front { fill: #4493f8 }
    circle.chosen { fill: #f0883e }
  }
"""


def write(result: SearchResult) -> None:
    """Write the picture into the folder of the search.

    Raises:
        BadInput: the file cannot be written.
    """
    files.write_bytes(result.folder / FILE, draw(result).encode())


def draw(result: SearchResult) -> str:
    """An SVG document: a point a network, what it costs to the right and how good it is upwards."""
    scored = [(trial.cost, result.value(trial)) for trial in result.scored]
    costs, values = zip(*scored, strict=True)
    chosen = result.chosen.cost, result.value(result.chosen)
    front = [(trial.cost, result.value(trial)) for trial in result.front]
    across, upwards = _Scale.of(costs, _LEFT, _WIDTH - _RIGHT), _Scale.of(values, _HEIGHT - _BELOW, _TOP)
    title = f"{len(scored)} networks, each with the weights of one that was trained"
    found = f"chosen: {result.metric.text(chosen[1])} at {chosen[0]:.3g} {result.unit}"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" style="max-width: {_WIDTH}px">',
        f"<title>{escape(title)}; {escape(found)}</title>",
        f"<style>{_STYLE}</style>",
        '<rect class="ground" width="100%" height="100%"/>',
        f'<text class="title" x="16" y="24">{escape(title)}</text>',
        '<circle class="chosen" cx="20" cy="39" r="4"/>',
        f'<text x="30" y="42">{escape(found)}; the line joins those that no cheaper one beats</text>',
        *_axes(across, upwards, result),
    ]
    points = " ".join(f"{across.at(cost):.1f},{upwards.at(value):.1f}" for cost, value in front)
    lines.append(f'<polyline points="{points}"/>')
    for kind, some in (("tried", scored), ("front", front), ("chosen", [chosen])):
        size = 3 if kind == "tried" else 4
        lines += [
            f'<circle class="{kind}" cx="{across.at(cost):.1f}" cy="{upwards.at(value):.1f}" r="{size}"/>'
            for cost, value in some
        ]
    return "\n".join([*lines, "</svg>", ""])


class _Scale:
    """From values to pixels."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self.low, self.high, self._start, self._end = low, high, start, end

    @classmethod
    def of(cls, values: tuple[float, ...], start: float, end: float) -> _Scale:
        """From the least value to the largest, with a margin; the same are in the middle."""
        low, high = min(values), max(values)
        margin = (high - low) / 20 or abs(high) / 20 or 0.5
        return cls(low - margin, high + margin, start, end)

    def at(self, value: float) -> float:
        """Where a value lies, in pixels."""
        return self._start + (self._end - self._start) * (value - self.low) / (self.high - self.low)

    @property
    def ticks(self) -> tuple[float, ...]:
        """Values that are written beside the axis."""
        return tuple(self.low + (self.high - self.low) * tick / _TICKS for tick in range(_TICKS + 1))


def _axes(across: _Scale, upwards: _Scale, result: SearchResult) -> Iterator[str]:
    for value in upwards.ticks:
        y = upwards.at(value)
        yield f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}"/>'
        number = result.metric.number(value)
        yield f'<text class="quiet" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{number}</text>'
    for cost in across.ticks:
        x = across.at(cost)
        yield f'<text class="quiet" x="{x:.1f}" y="{_HEIGHT - 28}" text-anchor="middle">{cost:.3g}</text>'
    title = f"{result.metric.title}, {result.metric.unit}" if result.metric.unit else result.metric.title
    yield f'<text class="quiet" x="16" y="{_TOP - 6}">{escape(title)}</text>'
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    yield f'<text class="quiet" x="{middle:.0f}" y="{_HEIGHT - 10}" text-anchor="middle">{escape(result.cost)}</text>'
