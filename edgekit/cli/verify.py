"""``edgekit verify``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli import console
from edgekit.cli.options import ConfigOption, JsonOption, SetOption, find_config, load_settings

if TYPE_CHECKING:
    from edgekit.config import Overrides
    from edgekit.pipeline.verify import FileVerdict, VerifyResult


def verify(
    artifacts: Annotated[
        list[Path] | None, typer.Argument(help="Exported files, or folders of them.", show_default="the export folder")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", "-d", help="Images; labelled ones give accuracy.", show_default=False)
    ] = None,
    images: Annotated[int | None, typer.Option("--images", min=1, help="How many, evenly spread.", show_default="all")] = None,
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", help="The trained network, to compare with.", show_default="the float32 file")
    ] = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prove that exported files are the model that was trained: integers in LSB, accuracy, agreement with float."""
    with console.reporting("verify", as_json=as_json):
        from edgekit.defaults import CONFIG  # noqa: PLC0415 - see the module app
        from edgekit.pipeline.verify import verify as run  # noqa: PLC0415

        path = find_config(config)
        if path is None and not artifacts:
            path = CONFIG
        flags: Overrides = {"verify": {"data": data, "images": images}, "model": {"checkpoint": checkpoint}}
        settings = load_settings(path, flags, assignments)
        with console.progress_bar() as progress:
            result = run(artifacts or [settings.export.out], settings, progress=progress)
        if as_json:
            console.print_json("verify", result)
        else:
            _show(result)
        if not result.passed:
            raise typer.Exit(1)


def _show(result: VerifyResult) -> None:
    if result.noise:
        console.note("no images were named (--data DIR): integers were compared on noise, accuracy was not measured")
    if result.skipped:
        console.note(f"{len(result.skipped)} images could not be read and were skipped: {', '.join(result.skipped[:3])}")
    rows = [row for file in result.files for row in _rows(file)]
    columns = ["", "file", "runtime", ">identical", ">max |Δ|", ">top-1", ">as float"]
    console.table(f"measured on {result.images} images", columns, rows)
    if result.float_accuracy is not None and result.float_reference is not None:
        console.say(f"float: {result.float_accuracy.top1:.2%} top-1 ({console.escape(result.float_reference.name)})")
    for file in result.files:
        for problem in file.problems:
            console.say(f"[bold red]✘[/] {console.escape(file.path.name)}: {console.escape(problem)}")
    failed = sum(not file.passed for file in result.files)
    if failed:
        console.say(f"[bold red]✘ {failed} of {len(result.files)} files failed[/]")
    else:
        console.say(f"[bold green]✔ {len(result.files)} files passed[/]")


def _rows(file: FileVerdict) -> list[list[str]]:
    from edgekit.verification.integer_parity import IntegerParity  # noqa: PLC0415 - see the module app

    name = console.escape(file.path.name)
    top1 = f"{file.accuracy.top1:.2%}" if file.accuracy else "–"
    agreement = f"{file.agreement:.2%}" if file.agreement is not None else "–"
    if not file.parities:
        mark = "[yellow]–[/]" if file.passed else "[red]✘[/]"
        return [[mark, name, "nothing to compare with" if file.summary.format != "coreml" else "no runtime here", "–", "–", top1, agreement]]
    rows = []
    for parity in file.parities:
        mark = "[green]✔[/]" if parity.passed else "[red]✘[/]"
        if isinstance(parity, IntegerParity):
            figures = [console.percent(parity.identical), f"{parity.max_lsb} LSB"]
        else:
            figures = ["–", f"{parity.max_abs_error:.1e}"]
        rows.append([mark, name, console.escape(parity.runner), *figures, top1, agreement])
        name, top1, agreement = "", "", ""
    return rows
