"""The picture of a profile: every operator under the machine's roofline, and below that a bar a layer.

It is one SVG file that needs nothing else, and has colours for light and dark surroundings.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from edgekit.pipeline.measuring.profile import BY_RUNTIME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgekit.pipeline.measuring.profile import OperatorTime, ProfileResult

_MARGIN, _WIDTH, _TOP = 16, 960, 116  # pixels
_PLOT, _AXIS = 300, 56  # height of the roofline, and what stands left of it
_ROW, _BAR, _LETTER, _FIGURES = 16, 9, 6.7, 150  # a row, its bar, a letter of its name, and the numbers behind it
_LARGEST, _SMALLEST = 14.0, 2.0  # radius of the longest operator, and of the shortest that is seen
_DECADES: Final = (0.01, 0.1, 1.0, 10.0, 100.0, 1e3, 1e4)
_COLOURS: Final = {
    "pointwise convolution": "pointwise",
    "depthwise convolution": "depthwise",
    "dense convolution": "dense",
    "grouped convolution": "dense",
    "fully connected": "linear",
    "hard-swish": "swish",
}
_OTHER: Final = "other"
_STYLE: Final = """
  svg { color: #1f2328; font: 11px ui-monospace, Menlo, Consolas, monospace } .ground { fill: #ffffff }
  text { fill: currentColor } .quiet { opacity: .65 } .grid { stroke: currentColor; opacity: .15 }
  .title { font-size: 14px; font-weight: bold } .roof { stroke: currentColor; stroke-width: 1.5; fill: none }
  .best { stroke: currentColor; stroke-width: 1.5 } circle { fill-opacity: .55 }
  .pointwise { fill: #0969da } .depthwise { fill: #bc4c00 } .dense { fill: #8250df } .linear { fill: #1a7f37 }
  .swish { fill: #bf3989 } .other { fill: #7d8590 }
  @media (prefers-color-scheme: dark) {
    svg { color: #e6edf3 } .ground { fill: #0d1117 } .pointwise { fill: #4493f8 } .depthwise { fill: #f0883e }
    .dense { fill: #ab7df8 } .linear { fill: #3fb950 } .swish { fill: #db61a2 }
  }
"""


def draw(result: ProfileResult) -> str:
    """An SVG document."""
    layers = result.layers
    top = _TOP + _PLOT + 76
    height = top + len(layers) * _ROW + _MARGIN
    measured = f"{result.runner}, {result.threads} thread{'' if result.threads == 1 else 's'}"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}">',
        f"<title>{escape(result.path.name)}: where the time goes</title>",
        f"<style>{_STYLE}</style>",
        '<rect class="ground" width="100%" height="100%"/>',
        f'<text class="title" x="{_MARGIN}" y="24">{escape(result.path.name)}: {result.whole_us / 1e3:.3f} ms</text>',
        f'<text class="quiet" x="{_MARGIN}" y="42">{escape(measured)}, on {escape(result.roofline.machine)}</text>',
        *_legend(result),
        *_roofline(result),
        *_bars(result, layers, top),
    ]
    return "\n".join([*lines, "</svg>", ""])


def _colour(kind: str) -> str:
    return _COLOURS.get(kind, _OTHER)


def _legend(result: ProfileResult) -> Iterator[str]:
    """Colours, with the share of each."""
    shares: dict[str, float] = {}
    for kind in result.kinds:
        name = kind.kind if kind.kind in _COLOURS else _OTHER
        shares[name] = shares.get(name, 0.0) + kind.us / result.kernels_us
    for index, (name, share) in enumerate(shares.items()):
        x, y = _MARGIN + index % 3 * 280, 62 + index // 3 * 18
        yield f'<rect class="{_colour(name)}" x="{x}" y="{y - 8}" width="9" height="9"/>'
        yield f'<text x="{x + 14}" y="{y}">{escape(name)}: {share:.1%}</text>'


def _roofline(result: ProfileResult) -> Iterator[str]:
    """MACs a second over MACs a byte, both logarithmic. What multiplies nothing has no place here."""
    shown = [entry for entry in result.operators if entry.macs]
    peak = result.roofline.peak_gmacs
    left, right = min(0.1, *(e.intensity for e in shown)) / 1.5, max(64.0, *(e.intensity for e in shown)) * 1.5
    low, high = min(1.0, *(e.gmacs for e in shown)) / 1.5, max(peak, *(e.gmacs for e in shown)) * 1.5
    width, end = _WIDTH - 2 * _MARGIN - _AXIS, _TOP + _PLOT

    def x(intensity: float) -> str:
        return f"{_MARGIN + _AXIS + math.log(intensity / left) / math.log(right / left) * width:.1f}"

    def y(gmacs: float) -> str:
        return f"{end - math.log(gmacs / low) / math.log(high / low) * _PLOT:.1f}"

    for tick in (tick for tick in _DECADES if low < tick < high):
        yield f'<line class="grid" x1="{x(left)}" y1="{y(tick)}" x2="{x(right)}" y2="{y(tick)}"/>'
        yield f'<text class="quiet" x="{_MARGIN + _AXIS - 6}" y="{y(tick)}" text-anchor="end">{tick:g}</text>'
    for tick in (tick for tick in _DECADES if left < tick < right):
        yield f'<line class="grid" x1="{x(tick)}" y1="{_TOP}" x2="{x(tick)}" y2="{end}"/>'
        yield f'<text class="quiet" x="{x(tick)}" y="{end + 14}" text-anchor="middle">{tick:g}</text>'
    yield f'<text class="quiet" x="{_MARGIN}" y="{_TOP - 6}">GMAC/s</text>'
    yield f'<text class="quiet" x="{x(right)}" y="{end + 28}" text-anchor="end">MAC/byte</text>'
    # One label is above its line, on the left, the other below, on the right: so neither crosses the other's line.
    nearest = result.roofline.nearest_gbs
    labels = ((nearest, "caches", "end", -8, -2), (result.weights_gbs, "weights", "start", 8, 8))
    for bandwidth, where, anchor, right_by, below_by in labels:
        start, ridge = max(left, low / bandwidth), peak / bandwidth
        yield f'<polyline class="roof" points="{x(start)},{y(start * bandwidth)} {x(ridge)},{y(peak)}"/>'
        at = start**0.4 * ridge**0.6
        place = f'x="{float(x(at)) + right_by:.1f}" y="{float(y(at * bandwidth)) + below_by:.1f}"'
        yield f'<text {place} text-anchor="{anchor}">{where}: {bandwidth:.0f} GB/s</text>'
    ridge = peak / nearest
    yield f'<polyline class="roof" points="{x(ridge)},{y(peak)} {x(right)},{y(peak)}"/>'
    yield f'<text x="{x(right)}" y="{float(y(peak)) - 6:.1f}" text-anchor="end">{peak:.0f} GMAC/s</text>'
    longest = max(entry.us for entry in shown)
    for entry in sorted(shown, key=lambda entry: -entry.us):  # small ones in front
        radius = max(_LARGEST * math.sqrt(entry.us / longest), _SMALLEST)
        yield (
            f'<circle class="{_colour(entry.kind)}" cx="{x(entry.intensity)}" cy="{y(entry.gmacs)}" r="{radius:.1f}">'
            f"<title>{_described(entry)}</title></circle>"
        )


def _bars(result: ProfileResult, layers: tuple[OperatorTime, ...], top: int) -> Iterator[str]:
    """Microseconds, from the first layer to the last, with a mark where the machine at best would be."""
    left = _MARGIN + math.ceil(max(len(_name(layer)) for layer in layers) * _LETTER) + 8
    longest = max(layer.us for layer in layers)
    scale = (_WIDTH - _MARGIN - _FIGURES - left) / longest
    yield (
        f'<text class="quiet" x="{_MARGIN}" y="{top - 12}">µs of each layer, together {result.kernels_us:,.0f}; '
        "the mark is what the machine could do at best</text>"
    )
    for index, layer in enumerate(layers):
        y = top + index * _ROW
        end, best = left + layer.us * scale, left + min(layer.bound_us, longest) * scale
        yield f'<text x="{left - 8}" y="{y + 12}" text-anchor="end">{escape(_name(layer))}</text>'
        bar = f'x="{left}" y="{y + 4}" width="{layer.us * scale:.1f}" height="{_BAR}"'
        yield f'<rect class="{_colour(layer.kind)}" {bar}><title>{_described(layer)}</title></rect>'
        if layer.bound_us:
            yield f'<line class="best" x1="{best:.1f}" y1="{y + 2}" x2="{best:.1f}" y2="{y + 15}"/>'
        figures = f"{layer.us:,.1f}" + (f", {layer.efficiency:.0%} of best" if layer.bound_us else "")
        yield f'<text class="quiet" x="{max(end, best) + 6:.1f}" y="{y + 12}">{figures}</text>'


def _name(layer: OperatorTime) -> str:
    return layer.layer or BY_RUNTIME


def _described(entry: OperatorTime) -> str:
    bound = f", {entry.efficiency:.0%} of what {entry.bound} allows" if entry.bound else ""
    return escape(f"{_name(entry)}, {entry.kind}: {entry.us:,.1f} µs{bound}")
