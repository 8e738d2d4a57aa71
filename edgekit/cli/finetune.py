"""``edgekit finetune``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli import console
from edgekit.cli.export import export_settings, show_export, show_facts
from edgekit.cli.options import (
    CalibOption,
    CheckpointArgument,
    ConfigOption,
    HeadOption,
    InsistOption,
    IoDtypeOption,
    JsonOption,
    KeepFloatOption,
    LabelsOption,
    MeanOption,
    NoVerifyOption,
    OrderOption,
    OutOption,
    PaddingOption,
    PreprocessingOption,
    ResizeOption,
    SetOption,
    StdOption,
    StrictOption,
    TargetOption,
    ThreadsOption,
    expectations,
    names,
    said,
    targets,
)
from edgekit.device.threads import limited

if TYPE_CHECKING:
    from edgekit.config import Overrides
    from edgekit.training.finetune import Finetuning
    from edgekit.verification.closeness import Closeness


def finetune(  # noqa: PLR0913 - one a flag
    checkpoint: CheckpointArgument = None,
    *,
    target: TargetOption = None,
    calib: CalibOption = None,
    strict: StrictOption = False,
    keep_float: KeepFloatOption = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="How often to see each image.", show_default="400 updates")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option("--minutes", help="Train for about that long instead.", show_default=False)
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", help="cpu or cuda.", show_default="cuda where there is any")
    ] = None,
    out: OutOption = None,
    io_dtype: IoDtypeOption = None,
    head: HeadOption = None,
    preprocessing: PreprocessingOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    order: OrderOption = None,
    padding: PaddingOption = None,
    resize: ResizeOption = None,
    insist: InsistOption = False,
    labels: LabelsOption = None,
    threads: ThreadsOption = None,
    no_verify: NoVerifyOption = False,
    config: ConfigOption = None,
    assignments: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train the int8 model to be closer to the float one, without labels, and write its files; never worse than export.

    Interrupted, it goes on when the same command is given again.
    """
    with console.reporting("finetune", as_json=as_json), limited(threads):
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
            "model": {**network["model"], "labels": labels},
            "calibration": {
                "data": calib,
                "strict": strict or None,
                "keep_float": None if keep_float is None else names(keep_float),
            },
            "export": {
                "targets": None if target is None else targets(target),
                "io_dtype": said("--io-dtype", io_dtype),
                "head": said("--head", head),
                "out": out,
                "verify": False if no_verify else None,
            },
            "finetune": {"epochs": epochs, "minutes": minutes, "device": device},
        }
        settings = export_settings(config, flags, assignments)

        from edgekit.pipeline.finetune import finetune as run  # noqa: PLC0415 - see the module app

        with console.progress_bar() as progress:
            result = run(settings, opened=lambda facts: show_facts(facts, settings), progress=progress)
        if as_json:
            console.print_json("finetune", result)
        else:
            show_export(result.export, settings)
            _show(result.finetuning)


def _show(finetuning: Finetuning) -> None:
    """What training came to, and which of the two models is in the files."""
    trained, others = console.count(finetuning.images, "image"), console.count(finetuning.held_out, "other")
    went_on = ", gone on with" if finetuning.resumed else ""
    console.say(
        f"[dim]{console.count(finetuning.epochs, 'epoch')} of {trained} on {finetuning.device}{went_on}, "
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
