"""``edgekit baseline``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit import words
from edgekit.cli import console
from edgekit.cli.options import ArtifactsArgument, ConfigOption, JsonOption, SetOption, find_config, load_settings

if TYPE_CHECKING:
    from edgekit.pipeline.proving.baseline import BaselineResult, KeptFile

_DEFAULT = Path("baseline")


def baseline(
    artifacts: ArtifactsArgument = None,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the baseline.")] = _DEFAULT,
    config: ConfigOption = None,
    assignments: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Keep exported files, so that later ones can be compared with them: size, memory, int8 operators, latency."""
    with console.reporting("baseline", as_json=as_json):
        from edgekit.pipeline.proving.baseline import keep  # noqa: PLC0415 - see the module app

        settings = load_settings(find_config(config), {}, assignments)
        with console.progress_bar() as progress:
            result = keep(artifacts or [settings.export.out], out, progress=progress)
        if as_json:
            console.print_json("baseline", result)
        else:
            _show(result)


def _show(result: BaselineResult) -> None:
    rows: list[list[str] | str] = []
    for name, file in result.files.items():
        rows.append([console.escape(name), *_figures(file)])
        if result.before:
            rows.append(f"[dim]  {_change(result.before.get(name), file)}[/]")
    console.table(["file", ">size", ">memory", ">int8"], rows)
    gone = [name for name in result.before if name not in result.files]
    if gone:
        console.say(f"no longer kept: {console.escape(', '.join(gone))}")
    folder = console.escape(str(result.folder))
    console.say(f"[bold green]✔ {console.count(len(result.files), 'file')} kept[/] in {folder}")


def _figures(file: KeptFile) -> list[str]:
    memory = console.NOTHING if file.memory_mib is None else f"{file.memory_mib:.1f} MiB"
    return [words.size(file.size_bytes), memory, words.percent(file.int8_share)]


def _change(before: KeptFile | None, file: KeptFile) -> str:
    """What is not as it was."""
    if before is None:
        return "new"
    if before.sha256 == file.sha256:
        return "the same bytes as before"
    return f"before: {', '.join(_figures(before))}"
