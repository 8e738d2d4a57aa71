"""Lists of images, and what is said of each, as spreadsheets write them."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edgekit.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Row:
    """A line that is not empty.

    Attributes:
        line: its number in the file, from 1.
        cells: without spaces around them.
    """

    line: int
    cells: tuple[str, ...]

    def cell(self, column: int) -> str:
        """A cell; empty where the line ends before it."""
        return self.cells[column] if column < len(self.cells) else ""


@dataclass(frozen=True, slots=True)
class Table:
    """A CSV file.

    Attributes:
        header: names of columns, as they are written; empty in an empty file.
        rows: those below the header.
    """

    header: tuple[str, ...]
    rows: tuple[Row, ...]

    def column(self, names: Sequence[str]) -> int | None:
        """The place of the first of ``names`` that is a column, in capitals or not."""
        lower = [name.lower() for name in self.header]
        return next((lower.index(name) for name in names if name in lower), None)


DELIMITERS: Final = ",;\t"  # the first line has most of the one that counts; spreadsheets write ; in many languages


def read(path: Path) -> Table:
    """A CSV file in UTF-8.

    Raises:
        DataError: it is none.
        OSError: it cannot be read.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:  # spreadsheets write a byte order mark
            first = stream.readline()
            stream.seek(0)
            reader = csv.reader(stream, delimiter=max(DELIMITERS, key=first.count))
            lines = [Row(reader.line_num, tuple(cell.strip() for cell in cells)) for cells in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a CSV file in UTF-8: {error}") from error
    header, *rows = [line for line in lines if any(line.cells)] or [Row(1, ())]
    return Table(header.cells, tuple(rows))
