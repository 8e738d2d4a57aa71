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
from edgekit.config import meaning
from edgekit.device.threads import limited

if TYPE_CHECKING:
    from edgekit.pipeline.making.prune import Pruned


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
    *,
    to: Annotated[str | None, _option("--to", key="to", metavar="WHAT=SHARE")] = None,
    rank: Annotated[str | None, _option("--rank", key="rank", metavar="output|taylor|l1|bn")] = None,
    uniform: Annotated[bool, _option("--uniform", key="uniform")] = False,
    multiple: Annotated[int | None, _option("--multiple", key="multiple", show_default="8")] = None,
    calib: CalibOption = None,
    out: Annotated[Path | None, _option("--out", "-o", key="out", show_default="pruned.safetensors")] = None,
    expected: InputFlags,
    threads: ThreadsOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take channels out of a trained network: it becomes smaller and faster, and loses some accuracy."""
    with console.reporting("prune", as_json=as_json), limited(threads):
        flags = merged(
            {
                "model": {"checkpoint": checkpoint},
                "calibration": {"data": calib},
                "prune": {
                    "to": said("--to", to),
                    "rank": said("--rank", rank),
                    "uniform": uniform or None,
                    "multiple": said("--multiple", multiple),
                    "out": out,
                },
            },
            expected.expected(),
        )
        settings = load_settings(find_config(config), flags, assignments)

        from edgekit.pipeline.making.prune import prune as run  # noqa: PLC0415 - see the module app

        with console.progress_bar() as progress:
            result = run(settings, progress=progress)
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
    looked = f", seen on {console.count(result.images, 'image')}" if result.images else ""
    console.say(f"[dim]channels went from {console.count(len(result.layers), 'layer')}, by {result.rank}{looked}[/]")
    path = console.escape(str(result.checkpoint))
    console.say(path, "", f"edgekit train DATA --pretrained {path}   regains accuracy")


def _row(what: str, before: int, after: int) -> list[str]:
    return [what, f"{before:,}", f"{after:,}", console.percent(after / before)]
