"""The page of a diagnosis: findings first, then what they rest on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from edgekit.reports.kit.charts import Axis, Bar, Series, bars, heat, plot
from edgekit.reports.kit.markup import Markup, element, join, table
from edgekit.reports.kit.page import page
from edgekit.reports.kit.pieces import command, note
from edgekit.words import NOTHING, count, percent, size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.diagnosis.curve import Log
    from edgekit.diagnosis.finding import Finding
    from edgekit.pipeline.diagnosing.diagnosis import DiagnoseResult, Latency, Subject
    from edgekit.tasks.quality import ConfidenceBin, Confusion, Quality, Reliability

_MOST_BARS: Final = 30  # classes in a chart; the table beside it has all
_MOST_HEAT: Final = 20  # classes on a side
_IMAGES: Final = 5  # names in a cell


def render(result: DiagnoseResult) -> str:
    """An HTML document."""
    number = len(result.findings)
    first = next((one for one in result.subjects if one.quality is not None), None)
    quality = None if first is None else first.quality
    return page(
        "edgekit diagnose",
        result.network,
        f"{count(number, 'trouble')} found." if number else "No trouble was found.",
        {
            "Findings": _findings(result.findings),
            "Networks": _subjects(result.subjects),
            "Classes": None if quality is None else _classes(quality),
            "Confusions": None if quality is None or not quality.confusions else _confusions(quality.confusions),
            "Confidence": None if quality is None or quality.reliability is None else _reliability(quality.reliability),
            "Errors by kind": None if quality is None or not quality.errors else _errors(quality),
            "Where files differ from float": _differences(result.subjects),
            "Training": None if result.log is None else _log(result.log),
            "Layers": _layers(result) if result.layers else None,
        },
        facts=_facts(result),
        outcome="troubles" if number else "healthy",
        style="failed" if number else "passed",
    )


def _facts(result: DiagnoseResult) -> list[tuple[str, str]]:
    known = [
        (fact.name, f"{fact.value}, {fact.basis}: {fact.because}") for fact in result.facts if fact.name == "labels"
    ]
    about = [("checkpoint", result.description)] if result.description else []
    return [("task", result.task), ("images", result.data), *about, *known]


def _findings(findings: Sequence[Finding]) -> Markup:
    if not findings:
        return note("Everything that was looked at is as it should be.")
    return join(
        *(
            element(
                "article",
                element("h3", f"{one.trouble}: {one.sentence}"),
                element("p", one.evidence),
                command(one.remedy),
            )
            for one in findings
        )
    )


def _subjects(subjects: Sequence[Subject]) -> Markup:
    metrics = next((s.quality.measured for s in subjects if s.quality is not None), ())
    columns = ["network", "runtime", ">size", *(f">{one.metric.title}" for one in metrics), ">drop", ">as float"]
    rows = []
    for one in subjects:
        measured = (
            [NOTHING] * len(metrics) if one.quality is None else [m.metric.text(m.value) for m in one.quality.measured]
        )
        beside = [NOTHING if found is None else found.text() for found in (one.drop, one.agreement)]
        rows.append([one.name, one.runner, size(one.size_bytes) if one.size_bytes else NOTHING, *measured, *beside])
    timed = [(subject, latency) for subject in subjects for latency in subject.latency]
    return join(
        table(columns, rows, "Every network that was run, on the same images."),
        _latency(timed) if timed else None,
    )


def _latency(timed: Sequence[tuple[Subject, Latency]]) -> Markup:
    rows: list[list[str]] = []
    drawn: list[Bar] = []
    for subject, one in timed:
        name = subject.name if one.threads == 1 else f"{subject.name}, {one.threads} threads"
        times = [f"{ms:.3g}" for ms in (one.mean_ms, one.std_ms, one.min_ms, one.p50_ms, one.p95_ms, one.max_ms)]
        rows.append([name, str(one.threads), str(one.runs), *times])
        drawn.append(Bar(name, [one.p50_ms, one.p95_ms], f"{one.p50_ms:.3g} ms, 95 % within {one.p95_ms:.3g} ms"))
    columns = ["network", ">threads", ">runs", ">mean ms", ">std ms", ">min ms", ">median ms", ">95 % ms", ">max ms"]
    says = "The nearer the second bar is to the first, the steadier the times."
    return join(
        bars("Time of one image", says, Axis("time of one image", "ms"), drawn, ["median", "95th percentile"]),
        table(columns, rows, "Times of single images, one after the other, in milliseconds."),
    )


def _classes(quality: Quality) -> Markup | None:
    if not quality.classes:
        return None
    shown = [Bar(one.name, [one.value], f"{one.value:.1f} %, {one.number:,}") for one in quality.classes[:_MOST_BARS]]
    what = quality.measured[0].metric.title
    says = f"The worst {len(shown)} of {len(quality.classes)} classes, the worst first; behind each how many there are."
    rows = [[one.name, f"{one.number:,}", f"{one.value:.1f}"] for one in quality.classes]
    return join(
        bars(f"{what} of each class", says, Axis(what, "%"), shown),
        table(["class", ">of it", ">%"], rows, "All classes that occur."),
    )


def _confusions(confusions: Sequence[Confusion]) -> Markup:
    names = list(dict.fromkeys(name for one in confusions for name in (one.right, one.said)))[:_MOST_HEAT]
    found = {(one.right, one.said): one for one in confusions}
    cells = [
        [
            (one.share, percent(round(one.share, 3))) if (one := found.get((right, said))) is not None else (0.0, "")
            for said in names
        ]
        for right in names
    ]
    rows = [
        [one.right, one.said, f"{one.number:,}", percent(round(one.share, 3)), ", ".join(one.images[:_IMAGES])]
        for one in confusions
    ]
    says = "The darker a cell, the larger the share of the row's class that is taken for the column's."
    return join(
        heat("What is taken for what", says, ("true class", names), ("said class", names), cells),
        table(["is", "is taken for", ">times", ">share", "such as"], rows, "The most frequent confusions first."),
    )


def _reliability(found: Reliability) -> Markup:
    points = [(100 * one.confidence, 100 * one.accuracy) for one in found.bins if one.images]
    labels = [count(one.images, "image") for one in found.bins if one.images]
    says = (
        f"On the diagonal the network is right as often as it says; below it, it is too sure. The expected calibration "
        f"error is {percent(round(found.ece, 3))}."
    )
    series = [
        Series("network", points, labels, joined=True),
        Series("as it should be", [(0, 0), (100, 100)], joined=True),
    ]
    rows = [
        [_range(one), str(one.images), f"{100 * one.confidence:.1f}", f"{100 * one.accuracy:.1f}"]
        for one in found.bins
        if one.images
    ]  # fmt: skip
    return join(
        plot("Accuracy over confidence", says, Axis("confidence", "%"), Axis("accuracy", "%"), series),
        table(["confidence, %", ">images", ">mean confidence, %", ">right, %"], rows, "The same in numbers."),
    )


def _range(one: ConfidenceBin) -> str:
    return f"{100 * one.low:.0f} to {100 * one.high:.0f}"


def _errors(quality: Quality) -> Markup:
    shares = [percent(round(one.share, 3)) for one in quality.errors]
    drawn = [
        Bar(one.name, [100 * one.share], f"{one.number:,}, {share} of {one.of}")
        for one, share in zip(quality.errors, shares, strict=True)
    ]
    rows = [
        [one.name, f"{one.number:,}", share, one.of, NOTHING if one.cost is None else f"{one.cost:.1f}"]
        for one, share in zip(quality.errors, shares, strict=True)
    ]  # fmt: skip
    says = "The longest bar is the most frequent kind of error; what each costs is in the table."
    return join(
        bars("Errors by kind", says, Axis("share", "%"), drawn),
        table(["error", ">times", ">share", "of", ">costs points"], rows, "Errors by kind."),
    )


def _differences(subjects: Sequence[Subject]) -> Markup | None:
    parts = []
    for one in subjects:
        if one.differences is None:
            continue
        rows = [
            [pair.expected, pair.found, str(len(pair.images)), ", ".join(pair.images[:_IMAGES])]
            for pair in one.differences.disagreements
        ]
        parts.append(element("h3", one.name))
        parts.append(element("p", one.differences.sentence))
        if rows:
            parts.append(table(["float says", "it says", ">images", "such as"], rows, "Where they differ."))
    return join(*parts) if parts else None


def _log(log: Log) -> Markup:
    finite = [(float(one.number), one.loss) for one in log.epochs if math.isfinite(one.loss)]
    epochs = Axis("epoch")
    loss = plot(
        "Training loss", "It should fall, fast at first, and level off.", epochs, Axis("loss"),
        [Series("loss", finite, joined=True)],
    )  # fmt: skip
    values = [(float(one.number), one.value) for one in log.epochs if one.value is not None]
    if not values:
        return loss
    metric = plot(
        f"{log.metric} of the validation images", "It should rise and level off; where it falls, the network overfits.",
        epochs, Axis(log.metric), [Series(log.metric, values, joined=True)],
    )  # fmt: skip
    return join(loss, metric)


def _layers(result: DiagnoseResult) -> Markup:
    misfits = {one.layer: one.misfit for one in result.batch_norm}
    columns = [
        "layer",
        "operator",
        ">channels",
        ">mean",
        ">std",
        ">min",
        ">max",
        ">zeros",
        ">at limit",
        ">dead",
        ">saturated",
        ">off",
    ]
    rows = [
        [
            one.layer,
            one.operator,
            str(one.channels),
            *(f"{value:.3g}" for value in (one.mean, one.std, one.min, one.max)),
            percent(round(one.zeros, 3)),
            NOTHING if one.at_limit is None else percent(round(one.at_limit, 3)),
            _channels(one.dead),
            _channels(one.saturated),
            f"{misfits[one.layer]:.2g}" if one.layer in misfits else NOTHING,
        ]
        for one in result.layers
    ]
    shown = f"What each layer gives on {count(result.layer_images, 'image')}, in the order of the network."
    off = "Off is how far batch normalization is from what it remembers, in squared standard deviations."
    return join(table(columns, rows, shown), note(off))


def _channels(channels: Sequence[int]) -> str:
    if not channels:
        return "0"
    shown = ", ".join(map(str, channels[:_IMAGES]))
    return f"{len(channels)}: {shown}{', …' if len(channels) > _IMAGES else ''}"
