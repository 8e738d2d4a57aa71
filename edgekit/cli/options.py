"""Options that several commands share, and how flags become settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edgekit import config
from edgekit.config import Typed
from edgekit.errors import ConfigError

ArtifactsArgument = Annotated[
    list[Path] | None,
    typer.Argument(metavar="FILE|FOLDER", help="What export wrote.", show_default="the export folder"),
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="Settings file.", show_default="./edgekit.toml")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="SECTION.KEY=VALUE", help="Override any key of edgekit.toml, e.g. model.bn_eps=1e-3."
    ),
]
StrictOption = Annotated[bool, typer.Option("--strict", help="Refuse a broken image instead of skipping it.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


def find_config(path: Path | None) -> Path | None:
    """The settings file that is meant: the one named, else ./edgekit.toml if there is one."""
    here = Path(config.FILE_NAME)
    return path or (here if here.is_file() else None)


def load_settings(path: Path | None, flags: config.Overrides, assignments: list[str] | None) -> config.Settings:
    """Settings from a file, single assignments, and flags, the last of which win.

    Raises:
        ConfigError: something is unknown or wrong.
    """
    overrides: dict[str, dict[str, Any]] = {}
    for assignment in assignments or ():
        section, key, value = _assignment(assignment)
        overrides.setdefault(section, {})[key] = value
    for section, values in flags.items():
        overrides.setdefault(section, {}).update({key: value for key, value in values.items() if value is not None})
    return config.load(path, overrides)


def _assignment(text: str) -> tuple[str, str, Typed]:
    name, equals, value = text.partition("=")
    section, dot, key = name.strip().partition(".")
    if not (equals and dot and key):
        raise ConfigError(f"--set {text!r}: write it as SECTION.KEY=VALUE, e.g. model.bn_eps=1e-3")
    return section, key, Typed(value)
