"""The picture of a sensitivity analysis: one row a layer, in the order of the network, the longer the bar the worse.

It is one SVG file that needs nothing else, and has colours for light and dark surroundings.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from edgekit.words import decibels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.pipeline.making.ranking import Sensitivity
    from edgekit.pipeline.making.sensitivity import SensitivityResult

_ROW, _BAR, _TOP, _MARGIN = 16, 6, 84, 16  # pixels
_SCALE, _LETTER = 480, 6.7  # pixels of the whole scale, and of one letter of a name, at most
_STEP_DB = 10
_STYLE = """
  svg { color: #1f2328; font: 11px ui-monospace, Menlo, Consolas, monospace } .ground { fill: #ffffff }
  text { fill: currentColor } .quiet { opacity: .65 } .grid { stroke: currentColor; opacity: .15 }
  .title { font-size: 14px; font-weight: bold }
  .activation { fill: #0969da } .weights { fill: #bc4c00 }
  @media (prefers-color-scheme: dark) {
    svg { color: #e6edf3 } .ground { fill: #0d1117 } .activation { fill: #4493f8 } .weights { fill: #f0883e }
  }
"""


def draw(result: SensitivityResult) -> str:
    """An SVG document."""
    layers = list(dict.fromkeys(part.layer for part in sorted(result.parts, key=lambda part: part.place)))
    left = _MARGIN + math.ceil(max(map(len, layers)) * _LETTER) + 8
    width, height = left + _SCALE + 2 * _MARGIN, _TOP + len(layers) * _ROW + _MARGIN
    worst, best = _scale(result.parts)

    def length(sqnr_db: float) -> float:
        return max(best - sqnr_db, 0.0) / (best - worst) * _SCALE

    measured = f"{result.kind} on {result.images} images; everything in int8: {decibels(result.everything.sqnr_db)}"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">',
        f"<title>{escape(result.network)}: what quantizing each part alone does to the logits</title>",
        f"<style>{_STYLE}</style>",
        '<rect class="ground" width="100%" height="100%"/>',
        f'<text class="title" x="{_MARGIN}" y="24">{escape(result.network)}: each part quantized alone</text>',
        f'<text class="quiet" x="{_MARGIN}" y="42">SQNR of the logits in dB, {measured}</text>',
    ]
    for x, kind, together in (
        (left, "activation", result.activations),
        (left + _SCALE // 2, "weights", result.weights),
    ):
        lines.append(f'<rect class="{kind}" x="{x}" y="52" width="9" height="9"/>')
        lines.append(f'<text x="{x + 14}" y="60">{kind}, all: {decibels(together.sqnr_db)}</text>')
    for tick in range(worst, best + 1, _STEP_DB):
        at = f"{left + length(tick):.1f}"
        lines.append(f'<line class="grid" x1="{at}" y1="{_TOP}" x2="{at}" y2="{height - _MARGIN}"/>')
        lines.append(f'<text class="quiet" x="{at}" y="{_TOP - 4}" text-anchor="middle">{tick}</text>')
    rows = {layer: _TOP + index * _ROW for index, layer in enumerate(layers)}
    for layer, y in rows.items():
        lines.append(f'<text x="{left - 8}" y="{y + 12}" text-anchor="end">{escape(layer)}</text>')
    for part in result.parts:
        y = rows[part.layer] + 2 + (_BAR if part.part == "weights" else 0)
        lines.append(
            f'<rect class="{part.part}" x="{left}" y="{y}" width="{length(part.closeness.sqnr_db):.1f}" '
            f'height="{_BAR}"><title>{escape(part.layer)}, {part.part}: {decibels(part.closeness.sqnr_db)}, '
            f"{part.closeness.agreement:.1%} as float</title></rect>"
        )
    return "\n".join([*lines, "</svg>", ""])


def _scale(parts: Sequence[Sensitivity]) -> tuple[int, int]:
    """Where the scale ends and begins: the lowest and the highest SQNR in dB, with some space."""
    finite = [part.closeness.sqnr_db for part in parts if math.isfinite(part.closeness.sqnr_db)] or [0.0]
    worst = math.floor(min(finite) / _STEP_DB) * _STEP_DB
    return worst, max(math.ceil(max(finite) / _STEP_DB) * _STEP_DB, worst + _STEP_DB)
