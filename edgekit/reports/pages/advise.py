"""The page of an advice: what to ship, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.reports.kit.charts import Axis, Series, plot
from edgekit.reports.kit.markup import Markup, join, table
from edgekit.reports.kit.page import page
from edgekit.reports.kit.pieces import command, note
from edgekit.words import NOTHING

if TYPE_CHECKING:
    from edgekit.pipeline.choosing.advise import AdviceResult, Advised


def render(result: AdviceResult) -> str:
    """An HTML document."""
    best = result.best
    says = "Nothing fits." if best is None else f"{named(best)}: {'; '.join(best.reasons)}."
    return page(
        "edgekit advise",
        result.goal,
        says,
        {
            "What to ship": _ranked(result),
            "Accuracy over latency": _chart(result),
            "How to make it": join(*map(command, result.commands)) if result.commands else None,
            "To know": join(*map(note, result.notes)) if result.notes else None,
        },
        facts=[
            *([("device", result.device)] if result.device else []),
            ("candidates", str(result.considered)),
            *([("without a latency", str(result.unjudged))] if result.unjudged else []),
        ],
    )


def named(one: Advised) -> str:
    """A candidate in words."""
    candidate = one.candidate
    settings = [f"{name}={value}" for name, value in candidate.settings.items()]
    return " ".join([candidate.network, candidate.precision, candidate.target, *settings])


def _ranked(result: AdviceResult) -> Markup:
    rows = [
        [
            named(one),
            str(number) if one.fits else "✘",
            one.lowering,
            f"{one.candidate.accuracy:.4g}",
            NOTHING if one.candidate.latency_ms is None else f"{one.candidate.latency_ms:.3g}",
            NOTHING if one.candidate.size_bytes is None else f"{one.candidate.size_bytes / 1e6:.2f}",
            "; ".join(one.reasons),
            "; ".join(filter(None, (one.candidate.accuracy_from, one.candidate.latency_from, one.candidate.size_from))),
        ]
        for number, one in enumerate(result.ranked, 1)
    ]
    columns = ["candidate", "place", "lowering", ">accuracy", ">latency, ms", ">size, MB", "because", "figures"]
    return table(columns, rows, "The best first. ✘ stands beside those that are not good enough.")


def _chart(result: AdviceResult) -> Markup | None:
    timed = [one for one in result.ranked if one.candidate.latency_ms is not None]
    if not timed:
        return None
    groups = {
        "good enough": [one for one in timed if one.fits],
        "not good enough": [one for one in timed if not one.fits],
    }
    series = [
        Series(name, [(one.candidate.latency_ms or 0.0, one.candidate.accuracy) for one in some], [*map(named, some)])
        for name, some in groups.items()
        if some
    ]
    metric = timed[0].candidate.metric
    says = "The first candidate is at the top left of those that are good enough, as far as the goal asks for both."
    return plot(
        f"{metric} over latency of the first {len(timed)}",
        says,
        Axis("latency of one image", "ms", logarithmic=True),
        Axis(metric, "%" if metric.startswith("top") else ""),
        series,
    )
