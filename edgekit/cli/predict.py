"""``edgekit predict``."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli import console
from edgekit.cli.options import JsonOption, ThreadsOption  # noqa: TC001 - typer reads the annotations
from edgekit.words import count

if TYPE_CHECKING:
    from edgekit.pipeline.proving.predicting import Prediction
    from edgekit.tasks.values import Answer


def predict(  # noqa: PLR0913 - typer needs them
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An exported file, or a folder of stages.")],
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE…", help="Images: files, folders, patterns, .npz, .npy or .csv.")
    ],
    *,
    top: Annotated[int, typer.Option("--top", min=1, help="How many classes or things of each image.")] = 5,
    draw: Annotated[
        Path | None, typer.Option("--draw", metavar="DIR", help="Draw boxes and masks: a .png of each image.")
    ] = None,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a file answers: a first look at images, without any proof."""
    with console.reporting("predict", as_json=as_json):
        from edgekit.pipeline.proving.predicting import predict as run  # noqa: PLC0415 - see the module app

        with console.progress_bar() as progress:
            found = run(file, images, most=top, draw=draw, threads=threads or 1, progress=progress)
        console.skipped(found.skipped, refused_by="")
        if found.differs:
            console.warn(found.differs)
        if found.assumed:
            console.warn(f"rests on what is assumed: {', '.join(found.assumed)} (edgekit inspect {file} says why)")
        if as_json:
            console.print_json("predict", found)
        else:
            _show(found)
            if draw is not None:
                console.say(f"{count(len(found.drawings), 'picture')} in {console.escape(str(draw))}")


def _show(found: Prediction) -> None:
    """All that is said of an image; of several a few words each."""
    from edgekit.tasks.several import Together  # noqa: PLC0415 - see the module app

    images = found.images
    console.say(f"[dim]{console.escape(f'{found.network}, measured in {found.runner}')}[/]")
    if len(images) == 1:
        console.say(f"[bold]{console.escape(images[0].name)}[/]")
        console.say(*(f"  {console.escape(line)}" for line in images[0].answer.lines))
    elif isinstance(images[0].answer, Together):
        heads = [(image.name, image.answer.answers) for image in images if isinstance(image.answer, Together)]
        rows = [
            ["" if number else console.escape(name), console.escape(head), _shortened(answer)]
            for name, answers in heads
            for number, (head, answer) in enumerate(answers.items())
        ]
        console.table(["image", "head", "answer"], rows)
    else:
        console.table(["image", "answer"], [[console.escape(one.name), _shortened(one.answer)] for one in images])


def _shortened(answer: Answer) -> str:
    """An answer in a few words; where only one of its lines can be right, the first two."""
    if not answer.are_alternatives:
        return console.escape(answer.text)
    return " [dim]or[/] ".join(map(console.escape, answer.lines[:2]))
