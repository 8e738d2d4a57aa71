"""``edgekit prune``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgekit import words
from edgekit.cli import console
from edgekit.cli.groups import InputFlags, merged, spread
from edgekit.cli.options import (
    CalibOption,
    ConfigOption,
    JsonOption,
    SetOption,
    ThreadsOption,
    find_config,
    load_settings,
    said,
)
from edgekit.cli.train import show_begun, show_epoch, show_foretold, show_opened
from edgekit.cli.train_flags import flag
from edgekit.config import meaning
from edgekit.device.threads import limited

if TYPE_CHECKING:
    from edgekit.models.complexity import Complexity
    from edgekit.pipeline.making.prune import Pruned
    from edgekit.pipeline.making.train import Opened

_TRAINING = "Training (what is not given, the recipe says; --set train.KEY=VALUE for all else)"


def _option(*names: str, key: str, **how: Any) -> Any:  # noqa: ANN401 - typer's
    """The flag of a key of [prune], with the key's meaning as its help."""
    text = meaning(f"prune.{key}")
    return typer.Option(*names, help=f"{text[0].upper()}{text[1:]}.", **{"show_default": False, **how})


@spread
def prune(  # noqa: PLR0913 - one a flag
    checkpoint: Annotated[
        Path | None,
        typer.Argument(help="Trained MobileNet, or a run of edgekit train.", show_default=False),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Argument(help="Images to train on afterwards, as edgekit train takes them.", show_default="not trained"),
    ] = None,
    *,
    to: Annotated[str | None, _option("--to", key="to", metavar="WHAT=SHARE")] = None,
    rank: Annotated[str | None, _option("--rank", key="rank", metavar="output|taylor|l1|bn")] = None,
    uniform: Annotated[bool, _option("--uniform", key="uniform")] = False,
    unstructured: Annotated[float | None, _option("--unstructured", key="unstructured", metavar="SHARE")] = None,
    multiple: Annotated[int | None, _option("--multiple", key="multiple", show_default="the device's, or 8")] = None,
    device: Annotated[
        str | None,
        typer.Option(
            "--device",
            help="What it is made smaller for, e.g. raspberrypi5: numbers of channels suit its kernels (edgekit "
            "devices).",
            show_default=False,
        ),
    ] = None,
    calib: CalibOption = None,
    out: Annotated[Path | None, _option("--out", "-o", key="out", show_default="pruned.safetensors")] = None,
    steps: Annotated[int | None, _option("--steps", key="steps", show_default="1")] = None,
    epochs: Annotated[int | None, flag("epochs", _TRAINING)] = None,
    batch_size: Annotated[int | None, flag("batch_size", _TRAINING)] = None,
    lr: Annotated[float | None, flag("lr", _TRAINING)] = None,
    validation: Annotated[Path | None, flag("validation", _TRAINING)] = None,
    seed: Annotated[int | None, flag("seed", _TRAINING)] = None,
    accelerator: Annotated[str | None, flag("accelerator", _TRAINING, metavar="cpu|cuda")] = None,
    expected: InputFlags,
    threads: ThreadsOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take channels out of a trained network: it becomes smaller and faster, and loses some accuracy.

    With DATA it is trained after each step, and learns from the whole network, too. The same command goes on with a run
    that was interrupted.
    """
    with console.reporting("prune", as_json=as_json), limited(threads):
        flags = merged(
            {
                "model": {"checkpoint": checkpoint},
                "calibration": {"data": calib},
                "export": {"device": device},
                "prune": {
                    "to": said("--to", to),
                    "rank": said("--rank", rank),
                    "uniform": uniform or None,
                    "unstructured": said("--unstructured", unstructured),
                    "multiple": said("--multiple", multiple),
                    "out": out,
                    "steps": said("--steps", steps),
                },
                "train": {
                    "data": data,
                    "epochs": said("--epochs", epochs),
                    "batch_size": said("--batch-size", batch_size),
                    "lr": said("--lr", lr),
                    "validation": validation,
                    "seed": said("--seed", seed),
                    "accelerator": said("--accelerator", accelerator),
                },
            },
            expected.expected(),
        )
        settings = load_settings(find_config(config), flags, assignments)

        from edgekit.pipeline.making.prune import Listeners  # noqa: PLC0415 - see the module app
        from edgekit.pipeline.making.prune import prune as run  # noqa: PLC0415 - likewise
        from edgekit.reports.pictures import training as curve  # noqa: PLC0415 - likewise

        told: list[Opened] = []

        def opened(training: Opened) -> None:
            (show_begun if told else show_opened)(training)  # the images of all steps are the same
            told.append(training)

        listeners = Listeners(_show_cut, opened, show_foretold, show_epoch)
        with console.progress_bar() as progress:
            result = run(settings, listeners=listeners, progress=progress)
        if result.training is not None:
            curve.write(result.training)
        if as_json:
            console.print_json("prune", result)
        else:
            _show(result)


def _show(result: Pruned) -> None:
    for fact in result.facts:
        if fact.is_assumed:
            console.warn(f"{fact.name} {words.plain(fact.value)}: {fact.basis}, {fact.because}; {fact.setting} decides")
    for text in result.notes:
        console.note(text)
    before, after = result.before, result.after
    rows = [
        _row("multiplications (MACs)", before.macs, after.macs),
        _row("weights", before.parameters, after.parameters),
    ]
    console.table(["", ">before", ">after", ">left"], rows)
    if result.rank is not None:
        looked = f", seen on {console.count(result.images, 'image')}" if result.images else ""
        console.say(
            f"[dim]channels went from {console.count(len(result.layers), 'layer')}, by {result.rank}{looked}[/]"
        )
    path = console.escape(str(result.checkpoint))
    if result.zipped is not None:
        was, now = map(words.size, result.zipped)
        console.say(f"[dim]all weights, compressed as in a .zip: {was}, and {now} now[/]", path)
        return
    if result.moved is not None:
        cut = console.count(sum(layer.before - layer.after for layer in result.layers), "channel")
        console.say(f"[dim]{cut} said nothing; outputs moved by {result.moved:.1e} of their deviation at most[/]", path)
        return
    if result.training is None:
        console.say(path, "", f"edgekit train DATA --pretrained {path}   regains accuracy")
        return
    best = result.training.best
    measured = ", ".join(f"{one.metric.title} {one.text()}" for one in best.measured)
    console.say(f"{path}: {console.escape(measured)} in epoch {best.number}, the best")
    console.say("", f"edgekit export {console.escape(str(result.training.run))} --int8   writes it for its targets")


def _show_cut(step: int, cost: Complexity) -> None:
    """What a step left."""
    console.note(f"step {step}: {cost.macs:,} MACs and {cost.parameters:,} weights are left")


def _row(what: str, before: int, after: int) -> list[str]:
    return [what, f"{before:,}", f"{after:,}", console.percent(after / before)]
