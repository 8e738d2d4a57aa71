"""``edgekit sensitivity``."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit import files, words
from edgekit.cli import console
from edgekit.cli.export import export_settings, show_opened
from edgekit.cli.groups import CalibrationFlags, NetworkFlags, merged, spread
from edgekit.cli.options import CheckpointArgument, ConfigOption, JsonOption, SetOption, ThreadsOption
from edgekit.device.threads import limited

if TYPE_CHECKING:
    from edgekit.pipeline.making.ranking import Sensitivity
    from edgekit.pipeline.making.sensitivity import SensitivityResult
    from edgekit.verification.closeness import Closeness

_SHOWN = 20


@spread
def sensitivity(  # noqa: PLR0913 - one a flag
    checkpoint: CheckpointArgument = None,
    *,
    calibration: CalibrationFlags,
    images: Annotated[
        int, typer.Option("--images", min=8, help="How many of them to compare the logits on, evenly spread.")
    ] = 32,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder to draw a picture in.", show_default="no picture")
    ] = None,
    network: NetworkFlags,
    threads: ThreadsOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Rank activations and weights by what quantizing each of them alone does to the logits."""
    with console.reporting("sensitivity", as_json=as_json), limited(threads):
        flags = merged(network.overrides(checkpoint), calibration.overrides())
        settings = export_settings(config, flags, assignments, is_named=network.model is not None)
        given = network.given(checkpoint, settings)

        from edgekit.pipeline.making.sensitivity import sensitivity as run  # noqa: PLC0415 - see the module app

        with console.progress_bar() as progress:
            result = run(
                settings,
                given=given,
                images=images,
                opened=lambda source: show_opened(source, settings),
                progress=progress,
            )
        picture = None if out is None else out / f"{result.network}.sensitivity.svg"
        if picture is not None:
            from edgekit.reports.pictures.sensitivity import draw  # noqa: PLC0415 - only where one is wanted

            files.write_bytes(picture, draw(result).encode())
            console.note(f"all layers, in the order of the network: {picture}")
        if as_json:
            shown = {field.name: getattr(result, field.name) for field in fields(result)}
            console.print_json("sensitivity", shown | {"picture": picture})
        else:
            _show(result)


def _show(result: SensitivityResult) -> None:
    console.skipped(result.skipped)
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
