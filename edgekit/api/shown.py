"""How results look in a console and in a notebook: a title, a table, and remarks."""

from __future__ import annotations

import abc
import html
import sys
from dataclasses import dataclass

_GAP = "  "
_IN_ASCII = {"✔": "+", "✘": "x", "–": "-", "−": "-", "Δ": "d", "→": "->", "±": "+/-", "…": "...", "·": "-"}


@dataclass(frozen=True, slots=True)
class Page:
    """What is shown of a result.

    Attributes:
        title: its first line.
        rows: of a table; the first one holds the titles of columns, those that begin with ">" end flush.
        remarks: below it.
    """

    title: str
    rows: tuple[tuple[str, ...], ...] = ()
    remarks: tuple[str, ...] = ()

    def text(self) -> str:
        """For a console."""
        lines = [self.title]
        if self.rows:
            flush = [name.startswith(">") for name in self.rows[0]]
            rows = [tuple(cell.removeprefix(">") for cell in self.rows[0]), *self.rows[1:]]
            widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
            for row in rows:
                cells = (
                    cell.rjust(width) if end else cell.ljust(width)
                    for cell, width, end in zip(row, widths, flush, strict=True)
                )
                lines.append(_GAP.join(cells).rstrip())
        return "\n".join([*lines, *self.remarks])

    def html(self) -> str:
        """For a notebook."""
        parts = [f"<p><b>{html.escape(self.title)}</b></p>"]
        if self.rows:
            flush = ["right" if name.startswith(">") else "left" for name in self.rows[0]]
            lines = [
                "".join(
                    f'<{tag} style="text-align: {end}">{html.escape(cell.removeprefix(">"))}</{tag}>'
                    for cell, end in zip(row, flush, strict=True)
                )
                for tag, row in (("td" if place else "th", row) for place, row in enumerate(self.rows))
            ]
            parts.append(f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>")
        return "\n".join([*parts, *(f"<p>{html.escape(remark)}</p>" for remark in self.remarks)])


class Shown(abc.ABC):
    """A result that shows itself."""

    __slots__ = ()

    @abc.abstractmethod
    def page(self) -> Page:
        """What is shown."""

    def __repr__(self) -> str:
        return printable(self.page().text())

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return self.page().html()


def printable(text: str, encoding: str | None = None) -> str:
    """A text as the console can show it, whose encoding is that of standard output if none is given.

    >>> printable("✔ 2 → 3", "ascii")
    '+ 2 -> 3'
    """
    encoding = encoding or getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        for sign, plain in _IN_ASCII.items():
            text = text.replace(sign, plain)
        return text.encode(encoding, "replace").decode(encoding)
    return text
