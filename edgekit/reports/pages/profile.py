"""The page of a profile: where the time of one file goes, or of several files of a network side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.pipeline.measuring.profile import BY_RUNTIME, side_by_side
from edgekit.reports.kit.charts import Axis, Bar, Series, bars, plot
from edgekit.reports.kit.markup import Markup, join, table
from edgekit.reports.kit.page import page
from edgekit.words import NOTHING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.pipeline.measuring.profile import OperatorTime, ProfileResult

_LONGEST = 25  # layers of the chart


def render(results: Sequence[ProfileResult]) -> str:
    """The page.

    Args:
        results: at least one.
    """
    times = ", ".join(f"{_file(result)} {result.whole_us / 1e3:.3f} ms" for result in results)
    sections: dict[str, Markup | None] = {"Layers": _layers(results)}
    for result in results:
        sections[_file(result)] = join(_kinds(result), _roofline(result), _operators(result))
    disturbed = [_file(result) for result in results if result.disturbed]
    facts = [(_file(result), f"{result.runner}, threads: {result.threads}") for result in results]
    facts.append(("machine", results[0].roofline.machine))
    if disturbed:
        facts.append(("busy machine", f"runs of {', '.join(disturbed)} differ: profile again when it is idle"))
    return page("edgekit profile", results[0].network, f"One run takes: {times}.", sections, facts=facts)


def _file(result: ProfileResult) -> str:
    return result.path.name.removeprefix(f"{result.network}.")


def _layers(results: Sequence[ProfileResult]) -> Markup:
    together = side_by_side(results)
    longest = sorted(together.items(), key=lambda row: -max(us or 0.0 for us in row[1]))[:_LONGEST]
    kept = [name for name in together if name in dict(longest)]
    rows = [Bar(name, together[name], _text(together[name])) for name in kept]
    names = [_file(result) for result in results]
    says = "Microseconds of the longest layers, in the order of the network."
    if len(results) > 1:
        says += f" The number behind each is {names[0]} over {names[-1]}."
    cells = [[name, *(_us(value) for value in us), _ratio(us)] for name, us in together.items()]
    columns = ["layer", *(f">{name}, µs" for name in names), ">ratio"]
    chart = bars("Time of each layer", says, Axis("time", "µs"), rows, names)
    return join(chart, table(columns, cells, "All layers; ratio is the first file over the last"))


def _text(us: Sequence[float | None]) -> str:
    return f"{_ratio(us)} x" if len(us) > 1 else f"{_us(us[0])} µs"


def _us(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,.1f}"


def _ratio(us: Sequence[float | None]) -> str:
    return f"{us[0] / us[-1]:.2f}" if len(us) > 1 and us[0] and us[-1] else NOTHING


def _kinds(result: ProfileResult) -> Markup:
    total_us = result.kernels_us
    first = result.kinds[0]
    says = f"{first.kind} takes {first.us / total_us:.0%} of {_file(result)}."
    rows = [Bar(one.kind, [one.us], f"{one.us:,.1f} µs, {one.us / total_us:.1%}") for one in result.kinds]
    return bars("Time by what operators do", says, Axis("time", "µs"), rows)


def _roofline(result: ProfileResult) -> Markup | None:
    """MACs a second over MACs a byte, with what the machine could do at best.

    Source: Williams, Waterman, Patterson, Roofline, CACM 52 (2009).
    """
    shown = [one for one in result.operators if one.macs and one.us]
    if not shown:
        return None
    machine = result.roofline
    low = min(one.intensity for one in shown) / 1.5
    ridge = machine.peak_gmacs / machine.nearest_gbs
    high = max(ridge, *(one.intensity for one in shown)) * 1.5
    roof = [(low, low * machine.nearest_gbs), (ridge, machine.peak_gmacs), (high, machine.peak_gmacs)]
    points = [(one.intensity, one.gmacs) for one in shown]
    return plot(
        "Roofline",
        "Operators near the line use what the machine has: memory left of its corner, arithmetic right of it.",
        Axis("MACs a byte", logarithmic=True),
        Axis("GMAC/s", logarithmic=True),
        [
            Series("operators", points, [f"{one.layer}: {one.us:,.1f} µs" for one in shown]),
            Series("the machine at best", [point for point in roof if point[0] <= high], joined=True),
        ],
    )


def _operators(result: ProfileResult) -> Markup:
    columns = ["layer", "what", ">µs", ">share, %", ">MMAC", ">kB moved", ">MAC/B", ">of best, %", "held up by"]
    rows = [_row(one, result.kernels_us) for one in result.layers]
    return table(columns, rows, f"Layers of {_file(result)}")


def _row(one: OperatorTime, total_us: float) -> list[str]:
    return [
        one.layer or BY_RUNTIME,
        one.kind,
        f"{one.us:,.1f}",
        f"{100 * one.us / total_us:.1f}",
        f"{one.macs / 1e6:.2f}" if one.macs else NOTHING,
        f"{one.moved_bytes / 1e3:,.1f}",
        f"{one.intensity:.1f}" if one.macs else NOTHING,
        f"{100 * one.efficiency:.0f}" if one.bound else NOTHING,
        one.bound or NOTHING,
    ]
