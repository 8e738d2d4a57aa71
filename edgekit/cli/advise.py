"""``edgekit advise``."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli import console
from edgekit.cli.options import JsonOption, PageOption  # noqa: TC001 - likewise

if TYPE_CHECKING:
    from edgekit.pipeline.choosing.advise import AdviceResult, Advised
    from edgekit.pipeline.choosing.candidates import Candidate


def advise(  # noqa: PLR0913 - one a flag
    *,
    goal: Annotated[
        str, typer.Option("--goal", "-g", help="fps=30, latency=12 (milliseconds), size=2MB, accuracy or battery.")
    ] = "accuracy",
    device: Annotated[
        str | None,
        typer.Option(
            "--device",
            metavar="NAME|FILE",
            help="A latency model of bench --fit, or a device of the sweep.",
            show_default="that of the sweep",
        ),
    ] = None,
    sweep: Annotated[
        Path | None,
        typer.Option("--from", metavar="DIR", help="A sweep, to choose from.", show_default="published figures"),
    ] = None,
    task: Annotated[str, typer.Option("--task", help="What networks are for.")] = "classification",
    report: PageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what to ship on a device for a goal: variant, width, resolution, precision, lowering, with the reasons.

    Of every figure it says whether it was measured, predicted, published or estimated.
    """
    with console.reporting("advise", as_json=as_json):
        from edgekit.pipeline.choosing.advise import advise as run  # noqa: PLC0415 - see the module app
        from edgekit.reports import writing  # noqa: PLC0415 - likewise
        from edgekit.reports.pages import advise as page  # noqa: PLC0415 - likewise

        writing.check_page(report)
        with console.progress_bar() as progress:
            result = run(goal, device=device, sweep=sweep, task=task, progress=progress)
        if report is not None:
            writing.write_page(page.render(result), report)
        if as_json:
            console.print_json("advise", result)
        else:
            _show(result)
            if report is not None:
                console.note(f"report: {report}")


def _show(result: AdviceResult) -> None:
    where = f" on {result.device}" if result.device else ""
    console.say(f"[bold]{console.escape(result.goal)}{console.escape(where)}[/]", "")
    rows: list[list[str] | str] = []
    for number, one in enumerate(result.ranked, 1):
        candidate = one.candidate
        rows.append(
            [
                f"{number}" if one.fits else "✘",
                console.escape(candidate.network),
                candidate.precision,
                candidate.target,
                one.lowering,
                f"{candidate.accuracy:.4g}",
                console.NOTHING if candidate.latency_ms is None else f"{candidate.latency_ms:.3g}",
                console.NOTHING if candidate.size_bytes is None else console.size(round(candidate.size_bytes)),
            ]
        )
        rows += [f"[dim]   {console.escape(text)}[/]" for text in _below(one)]
    metric = result.ranked[0].candidate.metric if result.ranked else "accuracy"
    columns = ["", "network", "precision", "target", "lowering", f">{metric}", ">ms", ">size"]
    console.table(columns, rows, spare=["target", "precision"])
    for text in _sources(result):
        console.say(f"[dim]{console.escape(text)}[/]")
    if result.unjudged:
        console.note(
            f"{console.count(result.unjudged, 'candidate')} of {result.considered} have no latency to judge by"
        )
    for text in result.notes:
        console.note(text)
    if result.commands:
        console.say("", *map(console.escape, result.commands))


def _below(one: Advised) -> list[str]:
    settings = [f"{name}={value}" for name, value in one.candidate.settings.items()]
    return [*([" ".join(settings)] if settings else []), "; ".join(one.reasons)]


def _sources(result: AdviceResult) -> list[str]:
    """Where the figures come from, each said once."""
    candidates: list[Candidate] = [one.candidate for one in result.ranked]
    kinds = (
        ("accuracy", (one.accuracy_from for one in candidates)),
        ("ms", (one.latency_from for one in candidates)),
        ("size", (one.size_from for one in candidates)),
    )
    return [f"{name}: {text}" for name, texts in kinds for text in dict.fromkeys(texts) if text]
