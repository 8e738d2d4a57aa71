"""What a folder holds that can be looked at: reports, pictures, training logs and exported files."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from edgekit import files
from edgekit.errors import BadInput
from edgekit.exporters.formats import FORMATS
from edgekit.image_files import is_hidden
from edgekit.pipeline.making.run import LOG

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOST: Final = 1000  # things that are shown of a folder
_DEEPEST: Final = 4  # folders below it that are looked into
_HEAD_BYTES: Final = 65_536  # of a page, in which its title is looked for


class Kind(StrEnum):
    """What something is."""

    TRAINING = "training"
    REPORT = "report"
    PICTURE = "picture"
    EXPORTED = "exported file"


_SUFFIXES: Final = {".html": Kind.REPORT, ".svg": Kind.PICTURE}


@dataclass(frozen=True, slots=True)
class Item:
    """Something to look at.

    Attributes:
        kind: what it is.
        path: of the file, or of a format's folder.
        name: the path below the folder, with slashes.
        title: what it calls itself; its name, where it does not say.
        size_bytes: of the file, or of all in the folder.
    """

    kind: Kind
    path: Path
    name: str
    title: str
    size_bytes: int


def gather(folder: Path) -> tuple[Item, ...]:
    """What lies in a folder and in those below it, by kind and name; the first ``MOST``.

    Links and hidden files are left out.

    Raises:
        BadInput: there is no such folder.
    """
    if not folder.is_dir():
        raise BadInput(f"{folder} is no folder: name that of a run, of exported files, or of reports")
    found = [_item(folder, path, kind) for path, kind in _walk(folder, 0)]
    order = list(Kind)
    return tuple(sorted(found, key=lambda item: (order.index(item.kind), item.name))[:MOST])


def _walk(folder: Path, depth: int) -> Iterator[tuple[Path, Kind]]:
    exported = {form.suffix for form in FORMATS.values()}
    for path in sorted(folder.iterdir()):
        if is_hidden(path.name) or path.is_symlink():
            continue
        if path.suffix in exported:
            yield path, Kind.EXPORTED
        elif path.is_dir():
            if depth < _DEEPEST:
                yield from _walk(path, depth + 1)
        elif path.name == LOG:
            yield path, Kind.TRAINING
        elif path.suffix in _SUFFIXES and path.is_file():
            yield path, _SUFFIXES[path.suffix]


def _item(folder: Path, path: Path, kind: Kind) -> Item:
    name = path.relative_to(folder).as_posix()
    title = path.name
    if kind is Kind.REPORT:
        title = _title(path) or name
    elif kind is Kind.TRAINING:
        title = path.parent.resolve().name
    return Item(kind, path, name, title, files.size_bytes(path))


def _title(page: Path) -> str:
    """The title of an HTML page; empty where it has none."""
    with page.open("rb") as stream:
        head = stream.read(_HEAD_BYTES).decode("utf-8", errors="replace")
    found = re.search("<title>(.*?)</title>", head, re.DOTALL)
    return html.unescape(found.group(1)).strip() if found else ""
