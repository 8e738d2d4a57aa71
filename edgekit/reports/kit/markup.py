"""HTML and SVG as values. Text becomes markup only by being escaped, so no name in a report can break out of it."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from edgekit.words import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_VOID = {"br", "img", "meta"}  # elements that have no end


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def escaped(text: str) -> Markup:
    """Text as markup; what is markup already stays as it is.

    >>> escaped("a < b"), escaped(Markup("<br>"))
    ('a &lt; b', '<br>')
    """
    return text if isinstance(text, Markup) else Markup(html.escape(printable(text)))


def element(name: str, /, *children: str | None, **attributes: str | float | None) -> Markup:
    """An element; children and attributes that are None are left out.

    The names of attributes are Python's: ``class_``, ``aria_label``.

    >>> element("p", "1 < 2 ", element("b", "yes"), None, class_="note", title=None)
    '<p class="note">1 &lt; 2 <b>yes</b></p>'
    """
    shown = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escaped(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{shown}>")
    return Markup(f"<{name}{shown}>{join(*children)}</{name}>")


def join(*children: str | None, between: str = "") -> Markup:
    """One child after the other, without those that are None."""
    return Markup(between.join(escaped(child) for child in children if child is not None))


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], caption: str) -> Markup:
    """A table.

    Columns whose title starts with ">" are numbers and end flush; the first cell of a row names the row.
    """
    kinds = ["number" if title.startswith(">") else None for title in columns]
    titles = [
        element("th", title.removeprefix(">"), scope="col", class_=kind)
        for title, kind in zip(columns, kinds, strict=True)
    ]
    body = [
        element("tr", *(
            element("td", cell, class_=kind) if index else element("th", cell, scope="row")
            for index, (cell, kind) in enumerate(zip(row, kinds, strict=True))
        ))
        for row in rows
    ]  # fmt: skip
    found = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *titles)),
        element("tbody", *body),
        style=f"--columns:{len(columns)}",
    )
    return scrolling(found, caption)


def scrolling(content: Markup, label: str) -> Markup:
    """What scrolls by itself where it is wider than the page; by keyboard, too. Source: WCAG 2.1, 2.1.1."""
    return element("div", content, class_="scroll", tabindex=0, role="region", aria_label=label)
