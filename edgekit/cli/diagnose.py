"""``edgekit diagnose``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit import words
from edgekit.cli import console
from edgekit.cli.groups import NetworkFlags, merged, spread
from edgekit.cli.options import (
    ConfigOption,
    JsonOption,
    LabelsOption,
    SetOption,
    ThreadsOption,
    find_config,
    load_settings,
)
from edgekit.device.threads import limited
from edgekit.tasks.values import TARGETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.diagnosis.finding import Finding
    from edgekit.diagnosis.layers import LayerStatistics
    from edgekit.pipeline.diagnosing.diagnosis import DiagnoseResult, Subject
    from edgekit.tasks.quality import Quality

_SHOWN = 10  # rows of a table; the page and --json have all
_FEW = 3  # names of channels, and images of a disagreement


@spread
def diagnose(  # noqa: PLR0913 - one a flag
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="CHECKPOINT|RUN|FILE…",
            help="A trained network or a run of edgekit train, and files that edgekit exported from it.",
            show_default=False,
        ),
    ] = None,
    *,
    data: Annotated[
        Path | None,
        typer.Option("--data", "-d", help="Labelled images that the network was not trained on.", show_default=False),
    ] = None,
    training: Annotated[
        Path | None,
        typer.Option("--training", help="Images that it was trained on.", show_default="those that a run has kept"),
    ] = None,
    images: Annotated[
        int | None, typer.Option("--images", min=1, help="How many of --data, evenly spread.", show_default="all")
    ] = None,
    no_timing: Annotated[bool, typer.Option("--no-timing", help="Time nothing.")] = False,
    labels: LabelsOption = None,
    network: NetworkFlags,
    threads: ThreadsOption = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE.html", help="Write a page.", show_default=False)
    ] = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Name what is wrong with a network, its images, its training or its files, each with a remedy."""
    with console.reporting("diagnose", as_json=as_json), limited(threads):
        from edgekit.defaults import CONFIG  # noqa: PLC0415 - see the module app
        from edgekit.pipeline.diagnosing.diagnose import diagnose as run  # noqa: PLC0415 - likewise
        from edgekit.pipeline.diagnosing.named import sorted_out  # noqa: PLC0415 - likewise
        from edgekit.reports import writing  # noqa: PLC0415 - likewise

        writing.check_page(report)
        named = sorted_out(paths or ())
        flags = merged(
            network.overrides(named.network),
            {"verify": {"data": data, "images": images}},
            {"model": {"labels": labels}} if labels else {},
        )
        path = find_config(config)
        if not paths and path is None and network.model is None:
            console.note("nothing is named: the digits network that edgekit ships is diagnosed")
            path = CONFIG
        settings = load_settings(path, flags, assignments)
        if named.network is None and not named.files:
            named = named.with_network(settings.model.checkpoint)
        given = network.given(named.network, settings)
        with console.progress_bar() as progress:
            result = run(
                settings,
                named,
                training=training,
                threads=threads or 1,
                timing=not no_timing,
                given=given,
                progress=progress,
            )
        if report is not None:
            from edgekit.reports.pages.diagnose import render  # noqa: PLC0415 - see the module app

            writing.write_page(render(result), report)
        if as_json:
            console.print_json("diagnose", result)
        else:
            _show(result)
            if report is not None:
                console.note(f"report: {report}")


def _show(result: DiagnoseResult) -> None:
    """Findings first, then tables."""
    console.skipped(result.skipped, refused_by="")
    said = f" ({console.escape(result.description)})" if result.description else ""
    console.say(f"[bold]{console.escape(result.network)}[/]{said}, {console.escape(result.data)}")
    first = next((subject for subject in result.subjects if subject.quality is not None), None)
    for finding in result.findings:
        _show_finding(finding)
    if first is None:
        labels = next((fact for fact in result.facts if fact.name == TARGETS), None)
        why = "the images come without labels" if labels is None else f"{labels.because}. Give {labels.setting}"
        console.warn(f"no accuracy is measured, so only the rest was looked at: {why}")
    elif not result.findings:
        console.say("[bold green]✔[/] no trouble was found")
    _show_subjects(result.subjects)
    if first is not None and first.quality is not None:
        _show_quality(first.name, first.quality)
    for subject in result.subjects:
        _show_differences(subject)
    if result.layers:
        _show_layers(result.layers, result.layer_images)
    console.say(f"[dim]in {words.duration(result.seconds)}[/]")


def _show_finding(finding: Finding) -> None:
    console.say(f"[bold red]✘[/] [bold]{finding.trouble}[/]: {console.escape(finding.sentence)}")
    console.say(f"  [dim]{console.escape(finding.evidence)}[/]", f"  {console.escape(finding.remedy)}")


def _show_subjects(subjects: Sequence[Subject]) -> None:
    metrics = next((s.quality.measured for s in subjects if s.quality is not None), ())[:2]
    columns = ["network", *(f">{one.metric.title}" for one in metrics), ">as float", ">ms", ">std", ">p95", ">threads"]
    rows = []
    for subject in subjects:
        measured = [] if subject.quality is None else subject.quality.measured[: len(metrics)]
        values = [one.metric.text(one.value) for one in measured] or [console.NOTHING] * len(metrics)
        near = "" if subject.agreement is None else subject.agreement.metric.text(subject.agreement.value)
        row = [console.escape(subject.name), *values, near]
        for number, one in enumerate(subject.latency):
            before = [""] * len(row) if number else row
            times = [f"{value:.3g}" for value in (one.mean_ms, one.std_ms, one.p95_ms)]
            rows.append([*before, *times, str(one.threads)])
        if not subject.latency:
            rows.append([*row, *[console.NOTHING] * 4])
    console.table(columns, rows, spare=(">threads", ">std"))


def _show_quality(name: str, quality: Quality) -> None:
    """The worst classes, what is taken for what, how sure it is, and errors by kind."""
    if quality.classes:
        shown = quality.classes[:_SHOWN]
        console.say(f"[dim]{console.escape(name)}: the worst {len(shown)} of {len(quality.classes)} classes[/]")
        console.table(
            ["class", ">of it", ">%"],
            [[console.escape(one.name), f"{one.number:,}", f"{one.value:.1f}"] for one in shown],
        )
    if quality.confusions:
        rows = [
            [console.escape(one.right), console.escape(one.said), f"{one.number:,}", words.percent(round(one.share, 3))]
            for one in quality.confusions[:_SHOWN]
        ]
        console.table(["is", "is taken for", ">times", ">of it"], rows)
    if (found := quality.reliability) is not None:
        console.say(
            f"mean confidence {words.percent(round(found.confidence, 3))}, right on "
            f"{words.percent(round(found.accuracy, 3))}; expected calibration error "
            f"{words.percent(round(found.ece, 3))}"
        )
    if quality.errors:
        rows = [
            [
                one.name,
                f"{one.number:,}",
                f"{words.percent(round(one.share, 3))} of {one.of}",
                "" if one.cost is None else f"{one.cost:.1f}",
            ]
            for one in quality.errors
        ]
        console.table(["error", ">times", ">share", ">costs points"], rows)


def _show_differences(subject: Subject) -> None:
    found = subject.differences
    if found is None or not found.disagreements:
        return
    console.say(f"[dim]{console.escape(subject.name)} beside float, on images where they differ[/]")
    rows = [
        [console.escape(one.expected), console.escape(one.found), str(len(one.images)), _some(one.images)]
        for one in found.disagreements[:_SHOWN]
    ]
    console.table(["float says", "it says", ">images", "such as"], rows)


def _show_layers(layers: Sequence[LayerStatistics], images: int) -> None:
    """Those with dead or saturated channels; of a healthy network the page has all."""
    marked = [one for one in layers if one.dead or one.saturated]
    console.say(
        f"[dim]{len(marked)} of {console.count(len(layers), 'layer')} have dead or saturated channels, on "
        f"{console.count(images, 'image')}; --report and --json show all[/]"
    )
    if marked:
        rows = [
            [
                console.escape(one.layer),
                f"{one.mean:.3g}",
                f"{one.std:.3g}",
                f"{one.max:.3g}",
                words.percent(round(one.zeros, 2)),
                f"{len(one.dead)}/{one.channels}",
                f"{len(one.saturated)}/{one.channels}",
            ]
            for one in marked[:_SHOWN]
        ]
        console.table(["layer", ">mean", ">std", ">max", ">zeros", ">dead", ">saturated"], rows, spare=(">max",))


def _some(images: Sequence[str]) -> str:
    more = ", …" if len(images) > _FEW else ""
    return console.escape(", ".join(images[:_FEW])) + more
