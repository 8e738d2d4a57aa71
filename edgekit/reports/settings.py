"""Every setting with its value, its meaning and where it comes from; and an edgekit.toml to start from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgekit import config

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgekit.config import Settings

DEFAULT = "default"
_BEGINNING = """\
# What edgekit does where a command is started in this folder; a flag goes before a setting.
# A line without "#" takes effect, the others say what is so by default. Relative paths start from this file's folder.
"""


@dataclass(frozen=True, slots=True)
class Explained:
    """One setting.

    Attributes:
        section: its table in edgekit.toml.
        key: its name there.
        value: a JSON value; None where nothing is set, and what its meaning says holds.
        meaning: what it decides, for people.
        takes: what it may be, in words.
        origin: who says it: "default", a file, a flag, or the profile of a device.
    """

    section: str
    key: str
    value: Any
    meaning: str
    takes: str
    origin: str

    @property
    def name(self) -> str:
        """As --set takes it."""
        return f"{self.section}.{self.key}"

    @property
    def text(self) -> str:
        """Its value, as TOML has it; empty where nothing is set."""
        return "" if self.value is None else _toml(self.value)


def explained(settings: Settings, folder: Path) -> tuple[Explained, ...]:
    """All settings, section by section; paths are as they read from ``folder``."""
    values = config.to_values(settings, folder)
    return tuple(
        Explained(
            section,
            key,
            value,
            config.meaning(f"{section}.{key}"),
            config.wanted(f"{section}.{key}"),
            _origin(settings, f"{section}.{key}"),
        )
        for section, keys in values.items()
        for key, value in keys.items()
    )


def starting_file(known: Sequence[Explained]) -> str:
    """An edgekit.toml with what is set, and every other key in a comment with what is so without it."""
    lines = [_BEGINNING.rstrip()]
    section = ""
    for one in known:
        if one.section != section:
            section = one.section
            lines += ["", f"[{section}]"]
        is_set = one.origin != DEFAULT and not one.origin.startswith(config.OF_PROFILE)
        lines += [f"# {one.meaning}", f"{one.key} = {one.text}" if is_set else _unset(one)]
    return "\n".join([*lines, ""])


def _unset(one: Explained) -> str:
    if one.value is None or one.value == {}:
        return f"# {one.key} = … ({one.takes.rstrip(',')})"
    return f"# {one.key} = {one.text}"


def _origin(settings: Settings, name: str) -> str:
    """Who says a setting; of a table, who says its entries."""
    known = settings.origins
    entries = (by for key, by in known.items() if key == name or key.startswith(f"{name}."))
    return ", ".join(dict.fromkeys(entries)) or DEFAULT


def _toml(value: Any) -> str:  # noqa: ANN401 - JSON
    """A JSON value as TOML has it: they differ in tables alone."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key} = {_toml(entry)}' for key, entry in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)
