"""``edgekit search``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli import console
from edgekit.cli.options import ConfigOption, JsonOption, SetOption, ThreadsOption, find_config, load_settings
from edgekit.cli.train import show_epoch, show_foretold, show_opened
from edgekit.device.threads import limited

if TYPE_CHECKING:
    from edgekit.config import Overrides
    from edgekit.pipeline.making.search import SearchResult, Tried

_SHOWN = 12  # networks of the front in the table


def search(  # noqa: PLR0913 - one a flag
    data: Annotated[
        Path | None, typer.Argument(help="Images with classes, as edgekit train takes them.", show_default=False)
    ] = None,
    *,
    space: Annotated[
        Path | None,
        typer.Option("--space", help="A .toml with a table of stages, in which a list is a choice.", metavar="FILE"),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            "--budget",
            help="The most that a network may cost: latency=0.35@DEVICE in milliseconds, with what edgekit bench "
            "--fit --out DEVICE wrote; or macs=12 in millions.",
            metavar="latency=MS@DEVICE|macs=N",
        ),
    ] = None,
    trials: Annotated[
        int | None, typer.Option("--trials", help="Networks that are measured.", show_default="128")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder of the search.")] = Path("runs/search"),
    epochs: Annotated[
        int | None, typer.Option("--epochs", help="Of the supernet's training.", show_default="60")
    ] = None,
    batch_size: Annotated[int | None, typer.Option("--batch-size", help="Images a step.", show_default="128")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Of all that is drawn.", show_default="0")] = None,
    threads: ThreadsOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look for the best network of a kind that a device can run in so many milliseconds; train it with edgekit train.

    One supernet is trained, of which all networks are parts; each is measured with the weights that it has there. The
    same command goes on with a search that was interrupted. How the supernet learns is set as for edgekit train:
    --set train.aa=none.
    """
    with console.reporting("search", as_json=as_json), limited(threads):
        train = {"data": data, "out": out, "epochs": epochs, "batch_size": batch_size, "seed": seed}
        given: Overrides = {"search": {"space": space, "budget": budget, "trials": trials}, "train": train}
        settings = load_settings(find_config(config), given, assignments)

        from edgekit.pipeline.making.search import search as run  # noqa: PLC0415 - see the module app
        from edgekit.reports.pictures import search as picture  # noqa: PLC0415 - likewise

        try:
            with console.progress_bar() as progress:
                result = run(
                    settings,
                    opened=show_opened,
                    foretold=show_foretold,
                    passed=show_epoch,
                    tried=_show_tried,
                    progress=progress,
                )
        except KeyboardInterrupt:
            console.note("the same command goes on from here")
            raise
        picture.write(result)
        if as_json:
            console.print_json("search", result)
        else:
            _show(result)


def _show_tried(tried: Tried) -> None:
    """A line for each network that is the best so far."""
    if tried.is_best:
        console.note(f"network {tried.number}: {tried.reached} at {tried.trial.cost:.3g} {tried.unit}, the best so far")


def _show(result: SearchResult) -> None:
    from edgekit.reports.pictures.search import FILE  # noqa: PLC0415 - see the module app

    measured, beyond = len(result.scored), len(result.tried) - len(result.scored)
    console.say(
        f"{measured} of {result.networks:,} networks were measured with the weights of the supernet, and {beyond} "
        f"proposals cost too much. No cheaper network beats these:"
    )
    rows = [
        ["✔" if trial is result.chosen else "", f"{trial.cost:.3g}", result.metric.text(result.value(trial))]
        for trial in result.front[-_SHOWN:]
    ]
    console.table(["", f">{result.unit}", f">{result.metric.title}"], rows)
    console.say(f"all of them: {console.escape(str(result.folder / FILE))}")
    table, checkpoint = (console.escape(shlex.quote(str(path))) for path in (result.table, result.checkpoint))
    console.say(
        "",
        f"edgekit train DATA --arch {table}   trains the chosen one from random weights",
        f"edgekit train DATA --pretrained {checkpoint} --recipe scratch   goes on from those of the supernet",
    )
