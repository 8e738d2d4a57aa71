"""The page of a folder: what it holds that can be looked at, with links."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from edgekit.reports.gathering import MOST, Kind
from edgekit.reports.kit.markup import Markup, element, table
from edgekit.reports.kit.page import page
from edgekit.reports.kit.pieces import code, note
from edgekit.words import count, size

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgekit.reports.gathering import Item

_MADE: Final = {Kind.TRAINING: "training/", Kind.EXPORTED: "graph/"}  # what is made when somebody asks for it
_HOW = "edgekit verify, profile, diagnose, analyze, sweep and advise write a page with --report FILE.html."


def render(folder: Path, items: Sequence[Item], drawable: str) -> str:
    """The page.

    Args:
        folder: its path.
        items: what it holds.
        drawable: the suffix of files whose graph can be drawn; empty where nothing draws it here.
    """
    of = {kind: [item for item in items if item.kind is kind] for kind in Kind}
    counts = [count(len(found), str(kind)) for kind, found in of.items() if found]
    says = f"{', '.join(counts)}." if counts else f"Nothing to look at yet. {_HOW}"
    return page(
        "edgekit view",
        folder.resolve().name or str(folder),
        says if len(items) < MOST else f"{says} The first {MOST} are shown.",
        {
            "Training": _linked(of[Kind.TRAINING], "Training runs"),
            "Reports": _linked(of[Kind.REPORT], "Pages that commands wrote"),
            "Pictures": _linked(of[Kind.PICTURE], "Drawings"),
            "Files": _files(of[Kind.EXPORTED], drawable),
        },
    )


def address_of(item: Item) -> str:
    """Where something is found, below the server's root."""
    return _MADE.get(item.kind, "") + item.name


def _linked(items: Sequence[Item], caption: str) -> Markup | None:
    rows = [[_link(item, item.title), code(item.name), size(item.size_bytes)] for item in items]
    return table(["what", "file", ">size"], rows, caption) if rows else None


def _files(items: Sequence[Item], drawable: str) -> Markup | None:
    rows = [
        [
            code(item.name),
            size(item.size_bytes),
            _link(item, "graph") if drawable and item.name.endswith(drawable) else "",
        ]
        for item in items
    ]
    if not rows:
        return None
    found = table(["file", ">size", ""], rows, "Exported files")
    return (
        found if drawable else Markup(found + note("Graphs are drawn by Model Explorer: pip install 'edgekit[view]'"))
    )


def _link(item: Item, text: str) -> Markup:
    return element("a", text, href=f"/{quote(address_of(item))}")
