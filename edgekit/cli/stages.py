"""``edgekit stages``."""

from __future__ import annotations

import shlex
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli import console
from edgekit.cli.options import JsonOption  # noqa: TC001 - typer reads the annotations
from edgekit.flags import names

if TYPE_CHECKING:
    from edgekit.pipeline.making.chain import ChainResult

_DEFAULT = "tflite,onnx"


def stages(
    model: Annotated[
        Path, typer.Argument(metavar="FOLDER|FILE", help="An export of a network with exits, or its *.int8.edgekit.")
    ],
    *,
    target: Annotated[str, typer.Option("--target", "-t", help="Formats, comma-separated.")] = _DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Cut a network with exits into files in a row, so that an image which leaves early costs no more."""
    with console.reporting("stages", as_json=as_json):
        from edgekit.pipeline.making.chain import write_chain  # noqa: PLC0415 - see the module app

        result = write_chain(model, names(target))
        if as_json:
            console.print_json("stages", result)
        else:
            _show(result)


def _show(result: ChainResult) -> None:
    rows = [
        [console.escape(one.path.name), console.escape(one.exit), console.size(one.size_bytes), f"{one.macs / 1e6:.2f}"]
        for one in result.files
    ]
    console.table(["file", "exit", ">size", ">million MACs"], rows)
    for runner, because in result.unclaimed.items():
        console.warn(f"{runner}: {because}")
    for parity in result.parities:
        console.say(f"[dim]{console.escape(f'{parity.ran()} of {parity.images} images of noise: {parity.said()}')}[/]")
    folder = console.escape(shlex.quote(str(result.folder)))
    console.say(f"{console.escape(result.network)} in stages: {folder}")
    console.note(f"next: edgekit verify {shlex.quote(str(result.folder.parent))} --data DIR proves each image's exit")
