"""``edgekit config``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit import files
from edgekit.cli import console
from edgekit.cli.options import ConfigOption, DeviceOption, JsonOption, SetOption, find_config, load_settings
from edgekit.config import FILE_NAME
from edgekit.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.reports.settings import Explained


def config(  # noqa: PLR0913 - one a flag
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="SECTION|SECTION.KEY", help="Which settings.", show_default="all"),
    ] = None,
    *,
    write: Annotated[
        Path | None,
        typer.Option(
            "--write", metavar="FILE", help=f"Write a commented {FILE_NAME} to start from.", show_default=False
        ),
    ] = None,
    device: DeviceOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show every setting with its value, what it means, and where it comes from."""
    with console.reporting("config", as_json=as_json):
        from edgekit.reports.settings import explained, starting_file  # noqa: PLC0415 - see the module app

        path = find_config(config)
        settings = load_settings(path, {"export": {"device": device}}, assignments)
        known = explained(settings, Path() if write is None else write.parent)
        if write is not None:
            if write.exists():
                raise ConfigError(f"{write} exists: name another file, or delete it first")
            files.write_bytes(write, starting_file(known).encode())
        shown = _chosen(known, names or [])
        if as_json:
            values = [{"name": one.name, **{key: getattr(one, key) for key in one.__slots__}} for one in shown]
            console.print_json("config", {"source": None if path is None else str(path), "settings": values})
        elif write is not None:
            console.say(f"{console.escape(str(write))}: {console.count(len(known), 'setting')}, each with its meaning")
        else:
            _show(shown, path)


def _chosen(known: Sequence[Explained], names: Sequence[str]) -> list[Explained]:
    """Those that are named, by section or by key; all, where none is.

    Raises:
        ConfigError: there is no such setting.
    """
    for name in names:
        if not any(name in {one.section, one.name} for one in known):
            every = {*(one.section for one in known), *(one.name for one in known)}
            raise ConfigError(f"there is no setting {name}: {did_you_mean(name, every)}")
    return [one for one in known if not names or one.section in names or one.name in names]


def _show(shown: Sequence[Explained], path: Path | None) -> None:
    console.note(f"settings of {path}" if path is not None else f"no {FILE_NAME} here: --write FILE makes one")
    section = ""
    for one in shown:
        if one.section != section:
            console.say(*([""] if section else []), f"[bold]\\[{one.section}][/]")
            section = one.section
        value = f"[bold]{console.escape(one.text)}[/]" if one.text else f"[dim]{console.NOTHING}[/]"
        by = "" if one.origin == "default" else f" [yellow]({console.escape(one.origin)})[/]"
        console.say(f"  {one.key} = {value}{by}", f"      [dim]{console.escape(one.meaning)}[/]")
