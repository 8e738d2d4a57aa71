"""``edgekit stages``."""

from __future__ import annotations

import shlex
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli import console
from edgekit.cli.options import JsonOption  # noqa: TC001 - typer reads the annotations
from edgekit.errors import ConfigError
from edgekit.flags import names

if TYPE_CHECKING:
    from edgekit.pipeline.making.chain import ChainResult
    from edgekit.pipeline.measuring.leaving import Saved

_DEFAULT = "tflite,onnx"


def stages(
    model: Annotated[
        Path, typer.Argument(metavar="FOLDER|FILE", help="An export of a network with exits, or its *.int8.edgekit.")
    ],
    *,
    target: Annotated[str, typer.Option("--target", "-t", help="Formats, comma-separated.")] = _DEFAULT,
    data: Annotated[Path | None, typer.Option("--data", help="Images to time them with, with --against.")] = None,
    against: Annotated[
        Path | None, typer.Option("--against", metavar="FILE", help="The whole network, without its early exits.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Cut a network with exits into files in a row, so that an image which leaves early costs no more."""
    with console.reporting("stages", as_json=as_json):
        from edgekit.pipeline.making.chain import write_chain  # noqa: PLC0415 - see the module app
        from edgekit.pipeline.measuring.leaving import time_stages  # noqa: PLC0415 - likewise

        if (data is None) != (against is None):
            raise ConfigError("stages are timed against a file of the whole network, over images: give both, or none")
        result = write_chain(model, names(target))
        saved = None
        if data is not None and against is not None:
            with console.progress_bar() as progress:
                saved = time_stages(result.folder, against, data, progress)
        if as_json:
            console.print_json("stages", result if saved is None else saved)
            return
        _show(result)
        if saved is not None:
            _show_saved(saved, against)


def _show_saved(saved: Saved, against: Path | None) -> None:
    """Where images left, and what that took."""
    rows = [
        [console.escape(one.exit), console.percent(one.share), f"{one.macs / 1e6:.2f}", console.size(one.moved_bytes)]
        for one in saved.exits
    ]
    console.table(["exit", ">of the images", ">million MACs", ">moved"], rows)
    costs = f"{saved.macs / 1e6:.2f} million MACs, {console.size(round(saved.moved_bytes))} moved"
    console.say(
        f"{saved.runner}, {console.count(saved.images, 'image')}: {costs} and {saved.chain_us:.0f} µs an image; "
        f"{console.escape(str(against))} takes {saved.whole_us:.0f} µs, {saved.whole_us / saved.chain_us:.2f} times as "
        f"long"
    )


def _show(result: ChainResult) -> None:
    rows = [
        [
            console.escape(one.path.name),
            console.escape(one.exit),
            console.size(one.size_bytes),
            f"{one.macs / 1e6:.2f}",
            console.size(one.moved_bytes),
        ]
        for one in result.files
    ]
    console.table(["file", "exit", ">size", ">million MACs", ">moved"], rows)
    for runner, because in result.unclaimed.items():
        console.warn(f"{runner}: {because}")
    for runner, images in {parity.runner: parity.images for parity in result.parities}.items():
        said = f"{runner}: {images} images of noise leave where the reference lets them go, with its logits"
        console.say(f"[dim]{console.escape(said)}[/]")
    folder = console.escape(shlex.quote(str(result.folder)))
    console.say(f"{console.escape(result.network)} in stages: {folder}")
    console.note(f"next: edgekit verify {shlex.quote(str(result.folder.parent))} --data DIR proves each image's exit")
