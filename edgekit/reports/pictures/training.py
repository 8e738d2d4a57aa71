"""The curve of a training: loss and the metric that chose the best epoch, as an SVG file and for a terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from edgekit import files

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.pipeline.making.train import TrainResult
    from edgekit.training.loop import Epoch

FILE: Final = "curve.svg"
_WIDTH, _HEIGHT, _LEFT, _TOP, _BELOW = 640, 320, 56, 56, 36  # pixels
_TICKS: Final = 4
_STYLE = """
  svg { color: #1f2328; font: 11px ui-monospace, Menlo, Consolas, monospace } .ground { fill: #ffffff }
  text { fill: currentColor } .quiet { opacity: .65 } .grid { stroke: currentColor; opacity: .15 }
  .title { font-size: 14px; font-weight: bold } polyline { fill: none; stroke-width: 2 }
  rect.metric { fill: #0969da } rect.loss { fill: #bc4c00 }
  polyline.metric { stroke: #0969da } polyline.loss { stroke: #bc4c00 }
  @media (prefers-color-scheme: dark) {
    svg { color: #e6edf3 } .ground { fill: #0d1117 }
    rect.metric { fill: #4493f8 } rect.loss { fill: #f0883e }
    polyline.metric { stroke: #4493f8 } polyline.loss { stroke: #f0883e }
  }
"""
_BLOCKS: Final = " ▁▂▃▄▅▆▇█"
_ROWS, _COLUMNS = 5, 60  # characters of the curve on a terminal


def write(result: TrainResult) -> None:
    """Write the curve into the run's folder.

    Raises:
        BadInput: the file cannot be written.
    """
    files.write_bytes(result.run / FILE, draw(result.opened.network, result.epochs).encode())


def draw(network: str, epochs: Sequence[Epoch]) -> str:
    """An SVG document: the metric on the left scale, the loss drawn to a scale of its own."""
    metric = epochs[0].measured[0].metric
    values, losses = [epoch.measured[0].value for epoch in epochs], [epoch.loss for epoch in epochs]
    best = next(epoch for epoch in reversed(epochs) if epoch.is_best)
    low, high = _span(values)
    shown = f"{metric.title}, best {best.measured[0].text()} in epoch {best.number}"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" style="max-width: {_WIDTH}px">',
        f"<title>{escape(network)}: {escape(shown)}</title>",
        f"<style>{_STYLE}</style>",
        '<rect class="ground" width="100%" height="100%"/>',
        f'<text class="title" x="16" y="24">{escape(network)}</text>',
        f'<rect class="metric" x="16" y="34" width="9" height="9"/><text x="30" y="42">{escape(shown)}</text>',
        '<rect class="loss" x="440" y="34" width="9" height="9"/>',
        f'<text x="454" y="42">loss {losses[0]:.3f} to {losses[-1]:.3f}</text>',
    ]
    for tick in range(_TICKS + 1):
        y, value = _y(tick / _TICKS), low + (high - low) * tick / _TICKS
        lines.append(f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - 16}" y2="{y:.1f}"/>')
        lines.append(
            f'<text class="quiet" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{metric.number(value)}</text>'
        )
    lines.append(f'<text class="quiet" x="{_LEFT}" y="{_HEIGHT - 14}">epoch 1</text>')
    lines.append(f'<text class="quiet" x="{_WIDTH - 16}" y="{_HEIGHT - 14}" text-anchor="end">{len(epochs)}</text>')
    for kind, series, span in (("loss", losses, _span(losses)), ("metric", values, (low, high))):
        points = " ".join(
            f"{_x(index, len(series)):.1f},{_y((value - span[0]) / (span[1] - span[0])):.1f}"
            for index, value in enumerate(series)
            if math.isfinite(value)
        )
        lines.append(f'<polyline class="{kind}" points="{points}"/>')
    return "\n".join([*lines, "</svg>", ""])


def text(epochs: Sequence[Epoch]) -> str:
    """The metric over the epochs in block characters, for a terminal of 80 columns."""
    metric = epochs[0].measured[0].metric
    values = [epoch.measured[0].value for epoch in epochs]
    shown = [values[round(i * (len(values) - 1) / (_COLUMNS - 1))] for i in range(_COLUMNS)]
    if len(values) <= _COLUMNS:
        each = max(_COLUMNS // len(values), 1)
        shown = [value for value in values for _ in range(min(each, 4))]
    low, high = _span(values)
    eighths = [round((value - low) / (high - low) * _ROWS * 8) if math.isfinite(value) else 0 for value in shown]
    lines = [f"{'':>8}   {metric.title}"]
    for row in reversed(range(_ROWS)):
        label = {_ROWS - 1: metric.number(high), 0: metric.number(low)}.get(row, "")
        bar = "".join(_BLOCKS[min(max(height - 8 * row, 0), 8)] for height in eighths)
        lines.append(f"{label:>8} │{bar}".rstrip())
    return "\n".join([*lines, f"{'':>8} └{'─' * len(shown)} epoch {len(epochs)}"])


def _x(index: int, of: int) -> float:
    return _LEFT + (_WIDTH - 16 - _LEFT) * (index / (of - 1) if of > 1 else 0.5)


def _y(share: float) -> float:
    return _HEIGHT - _BELOW - (_HEIGHT - _BELOW - _TOP) * share


def _span(values: Sequence[float]) -> tuple[float, float]:
    """The least and the largest of the finite values, never the same."""
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(finite), max(finite)
    return (low, high) if high > low else (low - 0.5, high + 0.5)
