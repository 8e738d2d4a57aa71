"""Names of classes beside images: classes.txt, or the names in a data.yaml."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from edgekit.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

LISTS: Final = ("classes.txt", "obj.names", "labels.txt")
MAPS: Final = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_VOID: Final = ("void", "ignore", "ignored", "unknown", "unlabelled", "unlabeled")  # names of 255, which is no class
_LINE: Final = re.compile(r"(\d+)[\t ,:]+(.+)")
_NO_CLASS: Final = 255


def names_of(*folders: Path) -> dict[int, str]:
    """The name of each value that is a class, by value; empty where none of the folders names any.

    A line of classes.txt is a name, whose value is its place from 0, or a value and its name. What follows a tabulator
    behind the name is left out, and so is the value 255 where its name is that of nothing ("void").

    Raises:
        DataError: what is there cannot be read; the message says where.
    """
    for folder in folders:
        for name in LISTS:
            if (path := folder / name).is_file():
                return _of_list(path)
        for name in MAPS:
            if (path := folder / name).is_file():
                return of_yaml(path)
    return {}


def in_order(*folders: Path) -> tuple[str, ...]:
    """The names of classes 0, 1, 2, ...; see ``names_of``.

    Raises:
        DataError: one of these has no name.
    """
    names = names_of(*folders)
    missing = next((value for value in range(len(names)) if value not in names), None)
    if missing is not None:
        raise DataError(f"the classes beside {folders[0]} are {', '.join(map(str, names))}, and {missing} has no name")
    return tuple(names.values())


def _of_list(path: Path) -> dict[int, str]:
    lines = [line.strip() for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
    found = [_LINE.fullmatch(line) for line in lines]
    names: dict[int, str] = {}
    for place, (line, match) in enumerate(zip(lines, found, strict=True)):
        value, name = (int(match[1]), match[2]) if match is not None and all(found) else (place, line)
        if value in names:
            raise DataError(f"{path} names {value} twice: keep one line for it")
        names[value] = name.split("\t")[0].strip()
    return _classes(path, names)


def of_yaml(path: Path) -> dict[int, str]:
    """The entry ``names`` of a data.yaml; of YAML, what such files hold is read: a list, or names by index.

    Raises:
        DataError: there is none, or it is written in another way.
    """
    lines = [line.split(" #")[0].rstrip() for line in path.read_text("utf-8-sig").splitlines()]
    start = next((place for place, line in enumerate(lines) if re.match(r"names\s*:", line)), None)
    if start is None:
        raise DataError(
            f"{path} has no entry 'names': add the names of the classes, or a classes.txt with a name a line"
        )
    inline = lines[start].split(":", 1)[1].strip()
    below: list[str] = []
    for line in lines[start + 1 :]:
        if line and not line[0].isspace() and not line.startswith("-"):
            break
        below.append(line.strip())
    text = " ".join([inline, *below]).strip()
    if text.startswith(("[", "{")) and text.endswith(("]", "}")):
        items = [item.strip() for item in text[1:-1].split(",") if item.strip()]
    else:
        items = [line for line in below if line and not line.startswith("#")]
    names: dict[int, str] = {}
    for place, item in enumerate(items):
        match = re.fullmatch(r"(?:-\s*|(\d+)\s*:\s*)?(\"[^\"]*\"|'[^']*'|[^\"'\[\]{}]+)", item)
        if match is None:
            raise DataError(
                f"{path}: {item!r} under 'names' cannot be read: write a list, [cat, dog], or put a classes.txt with a "
                f"name a line beside it"
            )
        names[place if match[1] is None else int(match[1])] = match[2].strip("\"'").strip()
    return _classes(path, names)


def _classes(path: Path, names: dict[int, str]) -> dict[int, str]:
    if names.get(_NO_CLASS, "").lower() in _VOID:
        del names[_NO_CLASS]
    if not names:
        raise DataError(f"{path} names no class: write a name a line")
    if len(set(names.values())) < len(names):
        raise DataError(f"{path} gives two classes the same name: correct one")
    return dict(sorted(names.items()))
