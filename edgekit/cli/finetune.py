"""``edgekit finetune``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli import console
from edgekit.cli.export import export_settings, show_export, show_opened
from edgekit.cli.groups import CalibrationFlags, FileFlags, NetworkFlags, merged, spread
from edgekit.cli.options import CheckpointArgument, ConfigOption, JsonOption, SetOption, ThreadsOption
from edgekit.device.threads import limited

if TYPE_CHECKING:
    from edgekit.training.finetune import Finetuning
    from edgekit.verification.closeness import Closeness


@spread
def finetune(  # noqa: PLR0913 - one a flag
    checkpoint: CheckpointArgument = None,
    *,
    files: FileFlags,
    calibration: CalibrationFlags,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="How often to see each image.", show_default="400 updates")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option("--minutes", help="Train for about that long instead.", show_default=False)
    ] = None,
    accelerator: Annotated[
        str | None, typer.Option("--accelerator", help="cpu or cuda.", show_default="cuda where there is any")
    ] = None,
    accelerator_before: Annotated[str | None, typer.Option("--device", hidden=True)] = None,
    network: NetworkFlags,
    threads: ThreadsOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train the int8 model to be closer to the float one, without labels, and write its files; never worse than export.

    Interrupted, it goes on when the same command is given again.
    """
    with console.reporting("finetune", as_json=as_json), limited(threads):
        flags = merged(
            network.overrides(checkpoint),
            calibration.overrides(),
            files.overrides(),
            {"finetune": {"epochs": epochs, "minutes": minutes, "accelerator": accelerator or accelerator_before}},
        )
        settings = export_settings(config, flags, assignments, is_named=network.model is not None)
        given = network.given(checkpoint, settings)

        from edgekit.pipeline.making.finetune import finetune as run  # noqa: PLC0415 - see the module app

        told: list[str] = []
        with console.progress_bar() as progress:
            result = run(
                settings,
                given=given,
                opened=lambda source: told.extend(show_opened(source, settings)),
                progress=progress,
            )
        if as_json:
            console.print_json("finetune", result)
        else:
            show_export(result.export, settings, told)
            _show(result.finetuning)


def _show(finetuning: Finetuning) -> None:
    """What training came to, and which of the two models is in the files."""
    trained, others = console.count(finetuning.images, "image"), console.count(finetuning.held_out, "other")
    went_on = ", gone on with" if finetuning.resumed else ""
    console.say(
        f"[dim]{console.count(finetuning.epochs, 'epoch')} of {trained} on {finetuning.accelerator}{went_on}, "
        f"{finetuning.seconds:.0f} s; compared with float on {others}[/]"
    )
    rows = [
        _row("calibrated", finetuning.before, kept=not finetuning.improved),
        _row("fine-tuned", finetuning.after, kept=finetuning.improved),
    ]
    console.table(["", "int8 model", ">as float", ">SQNR"], rows)
    if not finetuning.improved:
        console.note("fine-tuning did not bring it closer to float, so the files hold the calibrated model")


def _row(name: str, closeness: Closeness, *, kept: bool) -> list[str]:
    mark = "[bold green]✔[/]" if kept else ""
    return [mark, name, console.percent(closeness.agreement), f"{closeness.sqnr_db:.2f} dB"]
