"""``edgekit train``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit import words
from edgekit.cli import console
from edgekit.cli.groups import InputFlags, merged, spread
from edgekit.cli.options import (
    ConfigOption,
    JsonOption,
    SetOption,
    ThreadsOption,
    find_config,
    load_settings,
)
from edgekit.cli.train_flags import TrainFlags
from edgekit.device.threads import limited

if TYPE_CHECKING:
    from edgekit.pipeline.making.train import Opened, TrainResult
    from edgekit.tasks.leaving import Leavings
    from edgekit.training.loop import Epoch

# What is computed of a network's raw outputs, by its task.
_WORTH_A_WORD = 2  # seconds
_ANSWERS = {"detection": "boxes", "segmentation": "masks", "several": "boxes and masks"}


@spread
def train(  # noqa: PLR0913 - one a flag
    data: Annotated[
        Path | None,
        typer.Argument(
            help="Images: class folders, or train/ and val/ with these; a .csv or .npz. For boxes COCO's .json, or a "
            "folder with VOC's or YOLO's files; for masks a folder with images/ and masks/.",
            show_default=False,
        ),
    ] = None,
    *,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The run's folder.", show_default="runs/train")
    ] = None,
    flags: TrainFlags,
    expected: InputFlags,
    threads: ThreadsOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a network on your own images; the same command goes on with a run that was interrupted.

    Afterwards, edgekit export RUN --int8 needs nothing else.
    """
    with console.reporting("train", as_json=as_json), limited(threads):
        given = merged(flags.overrides(), {"train": {"data": data, "out": out}}, expected.expected())
        settings = load_settings(find_config(config), given, assignments)

        from edgekit.pipeline.making.train import train as run  # noqa: PLC0415 - see the module app
        from edgekit.reports.pictures import training as curve  # noqa: PLC0415 - likewise

        try:
            with console.progress_bar() as progress:
                result = run(
                    settings,
                    opened=show_opened,
                    foretold=show_foretold,
                    passed=show_epoch,
                    progress=progress,
                )
        except KeyboardInterrupt:
            console.note("the same command goes on from here; edgekit export takes the best epoch so far")
            raise
        curve.write(result)
        if as_json:
            console.print_json("train", result)
        else:
            _show(result, settings.train.task)


def show_opened(opened: Opened) -> None:
    """What is about to be trained, on what, and what is taken to be true of it."""
    for text in opened.notes:
        console.note(text)
    for fact in opened.facts:
        text = f"{fact.name} {words.plain(fact.value)}: {fact.basis}, {fact.because}"
        if fact.is_assumed:
            console.warn(f"{text}; {fact.setting} decides")
        else:
            console.note(text)
    for text in opened.problems:
        console.warn(text)
    show_begun(opened)


def show_begun(opened: Opened) -> None:
    """What is about to be trained, and how."""
    recipe = opened.recipe
    learns, choosing = console.count(opened.training, "image"), console.count(opened.validation, "other")
    console.note(
        f"{opened.network}, {opened.parameters / 1e6:.2f} million weights, learns from {learns} on "
        f"{opened.accelerator}; the best epoch is chosen on {choosing}"
    )
    console.note(
        f"recipe {recipe.name}: {console.count(recipe.epochs, 'epoch')} in steps of "
        f"{console.count(min(recipe.batch_size, opened.training), 'image')}, "
        f"{recipe.opt}, learning rate {recipe.lr:.3g}, {recipe.sched}"
    )
    if opened.epochs_done == recipe.epochs:
        console.note("this run is finished: nothing is left to train")
    elif opened.epochs_done:
        console.note(f"goes on after epoch {opened.epochs_done}")


def show_foretold(seconds: float) -> None:
    """How long it takes, as soon as that is known, if it is worth a word."""
    if seconds >= _WORTH_A_WORD:
        console.note(f"this is going to take about {words.duration(seconds)}")


def show_epoch(epoch: Epoch) -> None:
    """A line an epoch."""
    measured = ", ".join(f"{one.metric.title} {one.text()}" for one in epoch.measured)
    mark = ", the best so far" if epoch.is_best else ""
    console.note(f"epoch {epoch.number}: loss {epoch.loss:.3f}, {measured}{mark}")


def _show_leavings(found: Leavings) -> None:
    """From where images leave, and what that saves."""
    whole = found.exits[-1].macs
    rows = [
        [
            console.escape(one.name),
            console.NOTHING if one.confidence is None else f"{one.confidence:.3f}",
            console.percent(one.share),
            console.percent(one.top1),
            f"{one.macs / 1e6:.2f}",
        ]
        for one in found.exits
    ]
    console.table(["exit", ">confidence", ">of the images", ">of these right", ">million MACs"], rows)
    console.say(
        f"top-1 {console.percent(found.top1)} with {found.macs / 1e6:.2f} million MACs an image; "
        f"{console.percent(found.last_top1)} with {whole / 1e6:.2f} where all go to the end"
    )


def _show(result: TrainResult, task: str) -> None:
    from edgekit.reports.pictures.training import text  # noqa: PLC0415 - see the module app

    best = result.best
    if len(result.epochs) > 1:  # one is no curve
        console.say(*map(console.escape, text(result.epochs).splitlines()))
    console.say(f"best epoch {best.number}: {console.escape(str(result.checkpoint))}")
    rows = [[console.escape(one.metric.title), console.escape(one.text())] for one in best.measured]
    console.table(["measured of it", ">"], rows)
    if result.leavings is not None:
        _show_leavings(result.leavings)
    for other in result.elsewhere:
        console.say(f"{console.escape(str(other.path))}   [dim]for {console.escape(other.made_by)}[/]")
    run = console.escape(shlex.quote(str(result.run)))
    console.say("", f"edgekit export {run} --int8   writes it for its targets")
    if what := _ANSWERS.get(task):
        console.say(f"edgekit export {run} --int8 --outputs final   likewise, and files give {what} themselves")
