"""``edgekit reproduce``."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli import console
from edgekit.cli.options import JsonOption, ModelOption, WeightsOption, own_code

if TYPE_CHECKING:
    from edgekit.pipeline.proving.reproduce import Reproduction


def reproduce(  # noqa: PLR0913 - one a flag
    manifest: Annotated[Path, typer.Argument(help="What export wrote beside its files: *.manifest.json.")],
    *,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder to keep the rebuilt files in.", show_default="none")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", help="The trained network, if it has moved.", show_default=False)
    ] = None,
    model: ModelOption = None,
    weights: WeightsOption = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", help="The class names, if they have moved.", show_default=False)
    ] = None,
    calib: Annotated[
        Path | None, typer.Option("--calib", help="The calibration images, if they have moved.", show_default=False)
    ] = None,
    ranges: Annotated[
        Path | None, typer.Option("--ranges", help="The saved ranges, if they have moved.", show_default=False)
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="Threads to compute with.", show_default="as many as then")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make exported files again from their manifest: the same bytes, or what differs."""
    with console.reporting("reproduce", as_json=as_json):
        from edgekit.pipeline.proving.reproduce import Moved  # noqa: PLC0415 - see the module app
        from edgekit.pipeline.proving.reproduce import reproduce as run  # noqa: PLC0415 - likewise

        with console.progress_bar() as progress:
            result = run(
                manifest,
                out=out,
                moved=Moved(checkpoint, labels, calib, ranges, own_code(model, weights, checkpoint)),
                threads=threads,
                progress=progress,
            )
        if as_json:
            console.print_json("reproduce", result)
        else:
            _show(result)
        if not result.passed:
            raise typer.Exit(1)


def _show(result: Reproduction) -> None:
    for text in result.notes:
        console.note(text)
    if result.inputs:
        console.say(*(f"[red]{console.escape(text)}[/]" for text in result.inputs))
        console.say("[bold red]✘ other inputs give other files[/]: nothing was rebuilt")
        return
    differing = [file for file in result.files if not file.identical]
    for file in differing:
        assert file.difference is not None, "it says what"
        console.say(f"[bold]{console.escape(file.name)}[/]  [red]{console.escape(file.difference)}[/]")
    where = f" → {console.escape(str(result.out))}" if result.out is not None else ""
    files = console.count(len(result.files), "file")
    if differing:
        console.say(f"[bold red]✘ {len(differing)} of {files} not the same bytes[/] ({result.seconds:.0f} s){where}")
    else:
        console.say(f"[bold green]✔ byte-identical, {files}[/] ({result.seconds:.0f} s){where}")
