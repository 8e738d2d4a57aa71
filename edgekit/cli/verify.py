"""``edgekit verify``."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli import console
from edgekit.cli.options import (
    ArtifactsArgument,
    ConfigOption,
    JsonOption,
    SetOption,
    StrictOption,
    find_config,
    load_settings,
)

if TYPE_CHECKING:
    from edgekit.config import Overrides
    from edgekit.pipeline.verify import FileVerdict, VerifyResult


def verify(  # noqa: PLR0913 - one a flag
    artifacts: ArtifactsArgument = None,
    *,
    data: Annotated[
        Path | None, typer.Option("--data", "-d", help="Images; labelled ones give accuracy.", show_default=False)
    ] = None,
    images: Annotated[
        int | None, typer.Option("--images", min=1, help="How many, evenly spread.", show_default="all")
    ] = None,
    strict: StrictOption = False,
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", help="The trained network, to compare with.", show_default="the float32 file"),
    ] = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prove that exported files are the model that was trained: integers in LSB, accuracy, agreement with float."""
    with console.reporting("verify", as_json=as_json):
        flags: Overrides = {
            "verify": {"data": data, "images": images, "strict": strict or None},
            "model": {"checkpoint": checkpoint},
        }
        settings = load_settings(find_config(config), flags, assignments)

        from edgekit.defaults import CONFIG  # noqa: PLC0415 - see the module app
        from edgekit.pipeline.verify import are_shipped  # noqa: PLC0415 - likewise
        from edgekit.pipeline.verify import verify as run  # noqa: PLC0415 - likewise

        paths = artifacts or [settings.export.out]
        if settings.source is None and are_shipped(paths):
            console.note("the digits network that edgekit ships: its checkpoint and its test images are used")
            settings = load_settings(CONFIG, flags, assignments)
        with console.progress_bar() as progress:
            result = run(paths, settings, progress=progress)
        if as_json:
            console.print_json("verify", result)
        else:
            _show(result)
        if not result.passed:
            raise typer.Exit(1)


def _show(result: VerifyResult) -> None:
    from edgekit.verification.integer_parity import IntegerParity  # noqa: PLC0415 - see the module app

    if result.noise:
        console.note("no images were named (--data DIR): compared on noise, so accuracy was not measured")
    console.skipped(result.skipped)
    rows = [row for file in result.files for row in _rows(file)]
    if result.float_accuracy is not None and result.float_reference is not None:
        top1 = console.percent(result.float_accuracy.top1)
        rows.append(["", f"float: {console.escape(result.float_reference.name)}", "", "", top1, ""])
    if any(isinstance(parity, IntegerParity) and not parity.exact for file in result.files for parity in file.parities):
        console.note(
            "some layers are more precise than int8: behind them integers are near, not claimed to be identical"
        )
    images = f"{console.count(result.images, 'image')}{' of noise' if result.noise else ''}"
    console.say(f"[dim]{f'measured on {images}' if result.images else 'nothing was run'}[/]")
    console.table(["", "file and runtime", ">equal", ">max |Δ|", ">top-1", ">as float"], rows)
    console.say(_conclusion(result))


def _conclusion(result: VerifyResult) -> str:
    total = len(result.files)
    failed, passed = sum(file.failed for file in result.files), sum(file.passed for file in result.files)
    if failed:
        return f"[bold red]✘ {failed} of {console.count(total, 'file')} failed[/]"
    if not passed:
        return "[bold red]✘ nothing was compared[/]: name the trained network, --checkpoint FILE"
    others = f", {console.count(total - passed, 'other')} not compared" if total > passed else ""
    return f"[bold green]✔ {console.count(passed, 'file')} passed[/]{others}"


def _rows(file: FileVerdict) -> list[list[str] | str]:
    """The file, and below it each runtime."""
    from edgekit.verification.integer_parity import IntegerParity  # noqa: PLC0415 - see the module app

    mark = "[bold red]✘[/]" if file.failed else "[bold green]✔[/]" if file.passed else console.NOTHING
    top1 = console.percent(file.accuracy.top1) if file.accuracy else ""
    agreement = console.percent(file.agreement) if file.agreement is not None else ""
    rows: list[list[str] | str] = [[mark, console.escape(file.path.name), "", "", top1, agreement]]
    rows += [f"     [red]{console.escape(problem)}[/]" for problem in file.problems]
    for parity in file.parities:
        if isinstance(parity, IntegerParity):
            equal, difference = console.percent(parity.identical), f"{parity.max_lsb} LSB"
        else:
            equal, difference = "", f"{parity.max_abs_error:.1e}"
        style = "dim" if parity.passed else "red"
        rows.append(["", f"[{style}]  {console.escape(parity.runner)}[/]", equal, difference, "", ""])
    if not file.parities and not file.problems:
        rows.append(["", f"[dim]  {_unmeasured(file)}[/]", "", "", "", ""])
    return rows


def _unmeasured(file: FileVerdict) -> str:
    """Why there are no differences to show."""
    if file.numbers_identical:
        return "no runtime here: every number is the model's"
    if file.is_reference:
        return "what floats are compared with"
    return "no runtime here" if file.summary.format == "coreml" else "nothing to compare with"
