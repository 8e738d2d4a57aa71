"""``edgekit sensitivity``."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit import words
from edgekit.cli import console
from edgekit.cli.export import export_settings, show_facts
from edgekit.cli.options import (
    CalibOption,
    CheckpointArgument,
    ConfigOption,
    InsistOption,
    JsonOption,
    KeepFloatOption,
    MeanOption,
    OrderOption,
    PaddingOption,
    PreprocessingOption,
    ResizeOption,
    SetOption,
    StdOption,
    StrictOption,
    ThreadsOption,
    expectations,
    names,
)
from edgekit.device.threads import limited

if TYPE_CHECKING:
    from edgekit.config import Overrides
    from edgekit.pipeline.ranking import Sensitivity
    from edgekit.pipeline.sensitivity import SensitivityResult
    from edgekit.verification.closeness import Closeness

_SHOWN = 20


def sensitivity(  # noqa: PLR0913 - one a flag
    checkpoint: CheckpointArgument = None,
    *,
    calib: CalibOption = None,
    images: Annotated[
        int, typer.Option("--images", min=8, help="How many of them to compare the logits on, evenly spread.")
    ] = 32,
    strict: StrictOption = False,
    keep_float: KeepFloatOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder to draw a picture in.", show_default="no picture")
    ] = None,
    preprocessing: PreprocessingOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    order: OrderOption = None,
    padding: PaddingOption = None,
    resize: ResizeOption = None,
    insist: InsistOption = False,
    threads: ThreadsOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Rank activations and weights by what quantizing each of them alone does to the logits."""
    with console.reporting("sensitivity", as_json=as_json), limited(threads):
        network = expectations(
            checkpoint,
            padding=padding,
            preprocessing=preprocessing,
            mean=mean,
            std=std,
            order=order,
            resize=resize,
            insist=insist,
        )
        flags: Overrides = {
            **network,
            "calibration": {
                "data": calib,
                "strict": strict or None,
                "keep_float": None if keep_float is None else names(keep_float),
            },
        }
        settings = export_settings(config, flags, assignments)

        from edgekit.pipeline.sensitivity import sensitivity as run  # noqa: PLC0415 - see the module app

        with console.progress_bar() as progress:
            result = run(
                settings, images=images, out=out, opened=lambda facts: show_facts(facts, settings), progress=progress
            )
        if as_json:
            console.print_json("sensitivity", result)
        else:
            _show(result)


def _show(result: SensitivityResult) -> None:
    for text in result.notes:
        console.note(text)
    console.skipped(result.skipped)
    if result.picture is not None:
        console.note(f"all of them, in the order of the network: {result.picture}")
    name, images = console.escape(result.network), console.count(result.images, "image")
    console.say(f"[bold]{name}[/] ({console.escape(result.description)})")
    shown = min(_SHOWN, len(result.parts))
    console.say(
        f"[dim]each part quantized alone and biases corrected for it, {result.kind} on {images}: the worst {shown} of "
        f"{len(result.parts)}[/]"
    )
    console.table(["layer", "", ">SQNR", ">as float"], [_part(part) for part in result.parts[:shown]])
    console.say("[dim]together[/]")
    totals = {"activations": result.activations, "weights": result.weights, "everything": result.everything}
    console.table(["", ">SQNR", ">as float"], [[name, *_closeness(found)] for name, found in totals.items()])


def _part(part: Sensitivity) -> list[str]:
    return [console.escape(part.layer), part.part, *_closeness(part.closeness)]


def _closeness(found: Closeness) -> tuple[str, str]:
    return words.decibels(found.sqnr_db), console.percent(found.agreement)
