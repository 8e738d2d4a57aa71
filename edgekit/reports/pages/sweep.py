"""The page of a sweep: accuracy over cost, and every cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edgekit.reports.kit.charts import Axis, Series, plot
from edgekit.reports.kit.markup import Markup, join, table
from edgekit.reports.kit.page import page
from edgekit.words import NOTHING, count, percent, plain, size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgekit.pipeline.choosing.store import Row
    from edgekit.pipeline.choosing.sweep import SweepResult

_LATENCY: Final = Axis("latency, median", "ms", logarithmic=True)
_SIZE: Final = Axis("size of the file", "kB", logarithmic=True)


def render(result: SweepResult) -> str:
    """An HTML document."""
    failed = len(result.failed)
    best = result.front[-1] if result.front else None
    says = f"{count(len(result.rows), 'cell')}"
    if best is not None:
        says += f"; the most accurate is {said(best)}: {accuracy(best)}"
    return page(
        "edgekit sweep",
        result.folder.name,
        f"{says}.",
        {
            "Accuracy over latency": _charts(result, "latency_ms", _LATENCY),
            "Accuracy over size": _charts(result, "size_bytes", _SIZE),
            "Cells": _cells(result),
            "What failed": _failures(result) if failed else None,
        },
        facts=[(axis, ", ".join(values)) for axis, values in _axes(result.rows)],
    )


def said(row: Row) -> str:
    """A cell in words."""
    others = [f"{name} {plain(value)}" for name, value in row.others.items()]
    parts = [row.network, row.recipe, row.precision, row.target, *others]
    return " ".join(str(part) for part in parts if part)


def accuracy(row: Row) -> str:
    """How accurate a cell is, with what that is measured by."""
    return NOTHING if row.accuracy is None else f"{row.metric} {row.accuracy:.4g}"


def _axes(rows: Sequence[Row]) -> Iterator[tuple[str, list[str]]]:
    """What the cells differ in, and what they have in common."""
    for name in ("network", "recipe", "precision", "target", "device", "machine"):
        values = dict.fromkeys(str(value) for row in rows if (value := getattr(row, name)) is not None)
        if values:
            yield name, list(values)
    for name in dict.fromkeys(name for row in rows for name in row.others):
        yield name, list(dict.fromkeys(plain(row.others.get(name)) for row in rows))


def _charts(result: SweepResult, cost: str, axis: Axis) -> Markup | None:
    """A chart a device: a point a cell, and a line through those that no cheaper one equals."""
    charts = []
    for device in dict.fromkeys(row.device for row in result.rows):
        rows = [row for row in result.rows if row.device == device and not row.error]
        rows = [row for row in rows if row.accuracy is not None and getattr(row, cost) is not None]
        if not rows:
            continue
        front = result.front_of(rows, cost)
        title = f"{rows[0].metric} over {axis.title}" + (f" on {device}" if cost == "latency_ms" else "")
        what = "faster" if cost == "latency_ms" else "smaller"
        cheapest, best = front[0], front[-1]
        says = f"The line joins the {count(len(front), 'cell')} that no {what} one equals"
        if cheapest is not best:
            says += f", from {said(cheapest)} with {cheapest.accuracy:.4g} to {said(best)} with {best.accuracy:.4g}"
        series = [Series("front", *_points(front, cost), joined=True), *_others(rows, front, cost)]
        charts.append(plot(title, f"{says}.", axis, Axis(str(rows[0].metric)), series))
    return join(*charts) if charts else None


def _others(rows: Sequence[Row], front: Sequence[Row], cost: str) -> Iterator[Series]:
    """All others, by precision."""
    for precision in dict.fromkeys(row.precision for row in rows):
        some = [row for row in rows if row.precision == precision and row not in front]
        if some:
            yield Series(str(precision), *_points(some, cost))


def _points(rows: Sequence[Row], cost: str) -> tuple[list[tuple[float, float]], list[str]]:
    unit = 1e-3 if cost == "size_bytes" else 1.0
    points = [(getattr(row, cost) * unit, row.accuracy or 0.0) for row in rows]
    return points, [f"{said(row)}: {accuracy(row)}, {figures(row)}" for row in rows]


def figures(row: Row) -> str:
    """What a cell costs."""
    parts = [] if row.latency_ms is None else [f"{row.latency_ms:.3g} ms"]
    return ", ".join([*parts, *([] if row.size_bytes is None else [size(row.size_bytes)])])


def _cells(result: SweepResult) -> Markup:
    best = {row.key for row in result.front}
    metric = next((row.metric for row in result.rows if row.metric), "accuracy")
    columns = ["cell", "front", "device", f">{metric}", ">agreement", ">size, kB", ">latency, ms", ">interval, ms"]
    rows = [
        [
            said(row),
            "✔" if row.key in best else "",
            str(row.device),
            NOTHING if row.accuracy is None else f"{row.accuracy:.4g}",
            NOTHING if row.agreement is None else percent(row.agreement / 100),
            NOTHING if row.size_bytes is None else f"{row.size_bytes / 1e3:.0f}",
            NOTHING if row.latency_ms is None else f"{row.latency_ms:.3g}",
            NOTHING if row.latency_ms is None else f"{row.latency_low_ms:.3g} to {row.latency_high_ms:.3g}",
        ]
        for row in result.rows
    ]
    what = "faster" if result.cost == "latency_ms" else "smaller"
    return table(columns, rows, f"All cells. ✔ stands beside those that no {what} one of the same device equals.")


def _failures(result: SweepResult) -> Markup:
    rows = [[said(row) or row.key, str(row.device), row.error] for row in result.failed]
    return table(["cell", "device", "what went wrong"], rows, "Cells of which something is missing.")
