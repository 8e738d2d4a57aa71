"""The page of an analysis: what networks cost, by layer and beside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.reports.kit.charts import Axis, Bar, Series, bars, plot
from edgekit.reports.kit.markup import Markup, join, table
from edgekit.reports.kit.page import page
from edgekit.words import NOTHING, count, size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.pipeline.choosing.analyze import Analysis, AnalyzeResult


def render(result: AnalyzeResult) -> str:
    """The page."""
    networks = result.networks
    if len(networks) > 1:
        says = f"{count(len(networks), 'network')}, by what they cost before they are exported."
        return page("edgekit analyze", "Networks", says, {"Networks": join(_together(networks), _table(networks))})
    found = networks[0]
    largest = max(found.blocks, key=lambda block: block.macs)
    return page(
        "edgekit analyze",
        found.network,
        f"{found.macs / 1e6:.1f} million multiplications and {found.parameters / 1e6:.2f} million parameters; "
        f"{largest.name} has {largest.macs / found.macs:.0%} of the multiplications.",
        {"Blocks": _blocks(found), "Layers": _layers(found), "Separable convolutions": _savings(found)},
        facts=[
            ("image", " x ".join(map(str, found.resolution))),
            ("activations", f"{size(found.peak_int8_bytes)} in int8 at most, at {found.peak_at}"),
            *((f"{name} file", f"about {size(value)}") for name, value in found.size_bytes.items()),
            *_published(found),
        ],
    )


def _published(found: Analysis) -> list[tuple[str, str]]:
    said = found.published
    if said is None:
        return []
    figures = f"top-1 {said.top1:g} %, {said.macs / 1e6:g} million MACs, {said.parameters / 1e6:g} million parameters"
    return [("published", f"{figures} ({said.source})")]


def _together(networks: Sequence[Analysis]) -> Markup:
    points = [(one.macs / 1e6, one.parameters / 1e6) for one in networks]
    return plot(
        "Parameters over multiplications",
        "Networks further to the left compute less; networks further down are smaller files.",
        Axis("multiplications", "millions", logarithmic=True),
        Axis("parameters", "millions", logarithmic=True),
        [Series("networks", points, [one.network for one in networks])],
    )


def _table(networks: Sequence[Analysis]) -> Markup:
    rows = [
        [
            one.network,
            f"{one.parameters / 1e6:.3f}",
            f"{one.macs / 1e6:.2f}",
            f"{one.peak_int8_bytes / 1e6:.3f}",
            *(f"{value / 1e6:.3f}" for value in one.size_bytes.values()),
            f"{100 * one.macs / one.ordinary_macs:.1f}",
            NOTHING if one.published is None else f"{one.published.top1:g}",
        ]
        for one in networks
    ]
    files = [f">{name}, MB" for name in networks[0].size_bytes]
    columns = [
        "network",
        ">parameters, M",
        ">MACs, M",
        ">activations int8, MB",
        *files,
        ">of ordinary, %",
        ">published top-1, %",
    ]
    return table(columns, rows, "Costs; sizes are of .tflite files, as foretold")


def _blocks(found: Analysis) -> Markup:
    rows = [
        Bar(
            block.name,
            [100 * block.macs / found.macs, 100 * block.parameters / found.parameters],
            f"{block.macs / 1e6:.2f} M, {block.parameters:,}",
        )
        for block in found.blocks
    ]
    says = "Early blocks multiply most, late blocks hold most parameters, where maps are large first and small later."
    return bars("Where the cost lies", says, Axis("share of the network", "%"), rows, ["multiplications", "parameters"])


def _layers(found: Analysis) -> Markup:
    rows = [
        [
            one.name,
            one.kind,
            " x ".join(map(str, one.reads)),
            " x ".join(map(str, one.makes)),
            f"{one.parameters:,}",
            f"{one.macs / 1e6:.3f}",
            f"{one.intensity:.1f}",
        ]
        for one in found.layers
    ]
    columns = ["layer", "kind", "reads", "makes", ">parameters", ">MACs, M", ">MACs a byte, int8"]
    return table(columns, rows, "Convolutions and linear layers, in the order in which they run")


def _savings(found: Analysis) -> Markup | None:
    rows = [
        [one.name, f"{one.separable / 1e6:.3f}", f"{one.ordinary / 1e6:.3f}", f"{100 * one.share:.1f}"]
        for one in found.savings
    ]
    columns = ["depthwise layer", ">separable, M", ">ordinary, M", ">left, %"]
    caption = (
        "Multiplications of each depthwise layer with its 1 x 1 convolution: 1/N + 1/K² of an ordinary one is left"
    )
    return table(columns, rows, caption) if rows else None
