"""``edgekit ensemble``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli import console
from edgekit.cli.options import JsonOption  # noqa: TC001 - typer reads the annotations

if TYPE_CHECKING:
    from edgekit.pipeline.making.ensemble import Combined

_DEFAULT = Path("ensemble.safetensors")


def ensemble(
    checkpoints: Annotated[
        list[Path], typer.Argument(metavar="CHECKPOINT...", help="Networks that edgekit trained.", show_default=False)
    ],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="The checkpoint to write.")] = _DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Make one checkpoint of several, which gives the mean of their logits; it is exported as any other."""
    with console.reporting("ensemble", as_json=as_json):
        from edgekit.pipeline.making.ensemble import combine  # noqa: PLC0415 - see the module app

        result = combine(checkpoints, out)
        if as_json:
            console.print_json("ensemble", result)
        else:
            _show(result)


def _show(result: Combined) -> None:
    rows = [[console.escape(str(member.path)), member.name, member.sha256[:12]] for member in result.members]
    console.table(["checkpoint", "network", "sha256"], rows)
    console.say(f"{console.escape(str(result.path))}: {result.name}, the mean of their logits")
    console.note(f"next: edgekit export {result.path} --int8 --calib DIR")
