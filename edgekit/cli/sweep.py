"""``edgekit sweep``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli import console
from edgekit.cli.options import JsonOption, PageOption, SetOption, load_assignments
from edgekit.errors import ConfigError

if TYPE_CHECKING:
    from edgekit.pipeline.choosing.store import Row
    from edgekit.pipeline.choosing.sweep import SweepResult

_SHOWN = 24  # rows of the table; the front is always among them
# Columns that are left out where all cells have the same, by the field that they show.
_AXES = {"network": "network", "recipe": "recipe", "precision": "precision", "target": "target", "device": "device"}


def sweep(  # noqa: PLR0913 - one a flag
    spec: Annotated[
        Path | None,
        typer.Argument(help="An edgekit.toml with a section [grid], a list of values a key.", show_default=False),
    ] = None,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder of the sweep.")] = Path("runs/sweep"),
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Processes of one thread.", show_default="one a core")
    ] = None,
    address: Annotated[
        str | None,
        typer.Option("--address", help="Of a running Ray cluster: HOST:PORT, or auto.", show_default="this machine"),
    ] = None,
    show: Annotated[
        Path | None, typer.Option("--show", metavar="DIR", help="Show a sweep instead, running or not.")
    ] = None,
    where: Annotated[
        str | None, typer.Option("--where", metavar="SQL", help="Only cells such as: precision = 'int8'.")
    ] = None,
    report: PageOption = None,
    assignments: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a grid of networks and settings: accuracy, size and latency of each cell, in one SQLite file.

    Axes are checkpoint, or arch, width and recipe, which trains each; and resolution, precision, target, device, or any
    key of edgekit.toml. The same command goes on with a sweep that was interrupted, and with one whose axes have got
    more values.
    """
    with console.reporting("sweep", as_json=as_json):
        from edgekit.pipeline.choosing.sweep import shown  # noqa: PLC0415 - see the module app
        from edgekit.reports import writing  # noqa: PLC0415 - likewise
        from edgekit.reports.pages import sweep as page  # noqa: PLC0415 - likewise

        writing.check_page(report)

        if show is not None:
            _refuse_beside_show(spec, workers, address, assignments)
            result = shown(show, where)
        else:
            result = _measured(spec, out, workers, address, assignments)
            result = result if where is None else shown(out, where)
        if report is not None:
            writing.write_page(page.render(result), report)
        if as_json:
            console.print_json("sweep", result)
        else:
            _show(result)
            if report is not None:
                console.note(f"report: {report}")


def _refuse_beside_show(*given: object) -> None:
    if any(one is not None for one in given):
        raise ConfigError("--show measures nothing: leave SPEC, --workers, --address and --set out")


def _measured(
    spec: Path | None, out: Path, workers: int | None, address: str | None, assignments: list[str] | None
) -> SweepResult:
    from edgekit.device.machine import cores  # noqa: PLC0415 - see the module app
    from edgekit.pipeline.choosing.sweep import sweep as run  # noqa: PLC0415 - likewise

    if spec is None:
        raise ConfigError("no grid is named: edgekit sweep SPEC.toml, an edgekit.toml with a section [grid]")
    try:
        with console.progress_bar() as progress:
            return run(
                spec,
                out,
                workers=workers or cores(),
                address=address,
                overrides=load_assignments(assignments),
                opened=_show_opened,
                failed=_show_failed,
                progress=progress,
            )
    except KeyboardInterrupt:
        console.note("the same command goes on from here")
        raise


def _show_opened(cells: int, left: int) -> None:
    console.note(f"{console.count(cells, 'cell')}, {left or 'none'} of them left to measure")


def _show_failed(row: Row) -> None:
    from edgekit.reports.pages.sweep import said  # noqa: PLC0415 - see the module app

    console.warn(f"{said(row)}: {row.error}")


def _show(result: SweepResult) -> None:
    if not result.rows:
        console.say("no cell")
        return
    best = {row.key for row in result.front}
    ordered = sorted(result.rows, key=lambda row: (row.key not in best, bool(row.error), _cost(row, result.cost)))
    rows = sorted(ordered[:_SHOWN], key=lambda row: (bool(row.error), _cost(row, result.cost)))
    varying = [name for name in _AXES if len({getattr(row, name) for row in result.rows}) > 1]
    if "network" not in varying:
        console.say(f"[bold]{console.escape(rows[0].network or '')}[/]")
    others = [name for name in rows[0].others if len({str(row.others.get(name)) for row in result.rows}) > 1]
    axes = [*varying, *(name.partition(".")[2] for name in others)]
    lines = [
        [
            "✔" if row.key in best else "✘" if row.error else "",
            *(console.escape(str(getattr(row, name) or console.NOTHING)) for name in varying),
            *(console.escape(str(row.others.get(name))) for name in others),
            *_figures(row),
        ]
        for row in rows
    ]
    metric = next((row.metric for row in result.rows if row.metric), "accuracy")
    columns = ["", *axes, f">{metric}", ">agreement", ">size", ">ms", ">interval"]
    console.table(columns, lines, spare=[">interval", ">agreement", "device", "target"])
    what = "faster" if result.cost == "latency_ms" else "smaller"
    console.say(f"[dim]✔ no {what} one is as good[/]")
    if len(rows) < len(result.rows):
        console.say(f"[dim]{len(rows)} of {len(result.rows)} cells; --where chooses, and --json has all[/]")
    folder = console.escape(shlex.quote(str(result.folder)))
    console.say("", f"edgekit sweep --show {folder} --where \"precision = 'int8'\"   shows some of them again")


def _cost(row: Row, name: str) -> float:
    value: float | None = getattr(row, name)
    return float("inf") if value is None else value


def _figures(row: Row) -> list[str]:
    return [
        console.NOTHING if row.accuracy is None else f"{row.accuracy:.4g}",
        console.NOTHING if row.agreement is None else console.percent(row.agreement / 100),
        console.NOTHING if row.size_bytes is None else console.size(row.size_bytes),
        console.NOTHING if row.latency_ms is None else f"{row.latency_ms:.3g}",
        "" if row.latency_ms is None else f"{row.latency_low_ms:.3g}–{row.latency_high_ms:.3g}",
    ]
