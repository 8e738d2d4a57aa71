"""Numbers that lie beside images: in the same .npz, in the .csv that lists them, or in a table in their folder.

Where boxes or masks lie there, too, one column of the table may hold words: the class of each image.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.annotations.reading import JSON, LIST, TABLE, images_of
from edgekit.calibration import csv_files
from edgekit.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgekit.calibration.images import ImageSource

ARRAY: Final = "targets"
SPLIT: Final = "split"  # a column that says of each image whether it is trained with, and is no number


def numbers(images: ImageSource, names: Sequence[str], width: int) -> NDArray[np.float64] | None:
    """The numbers of each image, [N, width]; None where there are none.

    =============  ============================================================================================
    .npz           an array ``targets``, [all images] or [all images, width], beside ``images``
    .csv           columns beside the path of each image
    folder         such a table, ``targets.csv``, with paths from the folder
    .json, .txt    the same, beside a list of images with boxes or masks (``annotations.reading``)
    =============  ============================================================================================

    Where boxes or masks lie beside images, too, paths may start from the folder of images, and an image that is not in
    the table has NaN everywhere: nobody knows.

    Of a table, the columns that are named like ``names`` count, or else all columns but the first, and but ``split``
    and what holds classes.

    Args:
        images: which, and from where.
        names: of the numbers; empty where they have none.
        width: how many numbers an image has.

    Raises:
        DataError: there are others than wanted, or some are missing or no numbers.
    """
    if images.source is None:
        return None
    kind, path = _beside(images.source)
    if kind == ".npz":
        found = _of_array(path)
        if found is not None and found.shape[1] != width:
            raise DataError(
                f"the targets in {path} are of shape {list(found.shape)}, and the network gives {width} numbers an "
                f"image: save as many, [images, {width}]"
            )
        return None if found is None else found[list(images.indices)]
    table = csv_files.read(path) if kind == ".csv" else None
    if table is None or len(table.header) < 2:
        return None
    columns = [table.header.index(name) for name in names if name in table.header]
    partly = images_of(images.source) is not None
    columns = columns if len(columns) == len(names) == width else _columns(table, partly=partly)
    if len(columns) != width:
        raise DataError(
            f"{path} has {len(columns)} columns beside the paths ({', '.join(table.header[i] for i in columns)}), and "
            f"the network gives {width} numbers an image: leave out what is none of them, or name them as in "
            f"--labels FILE"
        )
    return _of_table(path, table, columns, images.names, partly=partly)


def all_numbers(source: Path, names: Sequence[str]) -> tuple[NDArray[np.float64], tuple[str, ...]] | None:
    """The numbers of all images of a place, [N, K], and what they are called; None where there are none.

    Args:
        source: as for ``numbers``: a folder, a .csv, an .npz, or a list with boxes or masks beside it.
        names: of the images.

    Returns:
        The numbers, and the K names of their columns; none of an array.

    Raises:
        DataError: some are missing, or are no numbers.
    """
    kind, path = _beside(source)
    if kind == ".npz":
        found = _of_array(path)
        return None if found is None else (found, ())
    table, partly = csv_files.read(path) if kind == ".csv" else None, images_of(source) is not None
    if table is None or not (columns := _columns(table, partly=partly)):
        return None
    return _of_table(path, table, columns, names, partly=partly), tuple(table.header[column] for column in columns)


def classes(source: Path, names: Sequence[str]) -> tuple[str, tuple[str | None, ...]] | None:
    """What a column of words says of each image, with the column's name; None where there is no such column.

    Args:
        source: a list with boxes or masks beside it, or their folder.
        names: of the images; of one that is not in the table, or whose cell is empty, nobody knows.

    Raises:
        DataError: there are several such columns, or none of the images is in the table.
    """
    kind, path = _beside(source)
    table = csv_files.read(path) if kind == ".csv" else None
    columns = [] if table is None else [column for column in _all_columns(table) if _is_of_words(table, column)]
    if table is None or not columns:
        return None
    called = [table.header[column] for column in columns]
    if len(columns) > 1:
        raise DataError(f"{path} has words in several columns, {', '.join(called)}, and one class of an image is read")
    rows = {_key(row): row.cell(columns[0]) or None for row in table.rows}
    found = tuple(rows.get(Path(name).as_posix()) for name in names)
    if not any(found):
        raise DataError(f"{path} says of none of the images in {source} what its {called[0]} is: name them in it")
    return called[0], found


def _beside(source: Path) -> tuple[str, Path]:
    """The kind of place that numbers lie in, and its path; no kind where there is no such file."""
    path = source / TABLE if source.is_dir() else source
    if path.suffix.lower() in {JSON, LIST}:
        path = source.parent / TABLE
    return path.suffix.lower() if path.is_file() else "", path


def _columns(table: csv_files.Table, *, partly: bool) -> list[int]:
    """The places of all columns that may be numbers; with ``partly``, those of words are none."""
    return [column for column in _all_columns(table) if not (partly and _is_of_words(table, column))]


def _all_columns(table: csv_files.Table) -> list[int]:
    """The places of all columns that say something of an image."""
    return [place for place, name in enumerate(table.header) if place > 0 and name.lower() != SPLIT]


def _is_of_words(table: csv_files.Table, column: int) -> bool:
    """Whether something stands in a column, and none of it is a number."""
    filled = [text for row in table.rows if (text := row.cell(column))]
    return bool(filled) and not any(map(_is_number, filled))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _key(row: csv_files.Row) -> str:
    """The path of an image from the folder of images."""
    return Path(row.cells[0]).as_posix().removeprefix("images/")


def _of_array(path: Path) -> NDArray[np.float64] | None:
    """[N, K]."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            if ARRAY not in archive.files:
                return None
            array = archive[ARRAY]
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} is no NumPy file, or is damaged: {error}") from error
    if not np.issubdtype(array.dtype, np.number) or not array.ndim:
        raise DataError(
            f"the targets in {path} are {array.dtype} of shape {list(array.shape)}, and numbers of each image are "
            f"wanted: save them as [images, numbers]"
        )
    found: NDArray[np.float64] = array.reshape(len(array), -1).astype(np.float64)
    return found


def _of_table(
    path: Path, table: csv_files.Table, columns: Sequence[int], names: Sequence[str], *, partly: bool
) -> NDArray[np.float64]:
    """The numbers in some columns of the images of these names; with ``partly``, NaN where there are none."""
    if partly:
        rows = {
            _key(row): [_number(path, row, column) if row.cell(column) else np.nan for column in columns]
            for row in table.rows
        }
    else:
        rows = {Path(row.cells[0]).as_posix(): [_number(path, row, column) for column in columns] for row in table.rows}
    missing = [name for name in names if Path(name).as_posix() not in rows]
    if missing and (not partly or len(missing) == len(names)):
        raise DataError(f"{path} has no target for {missing[0]}: add what is missing, or remove that image")
    nothing = [np.nan] * len(columns)
    return np.asarray([rows.get(Path(name).as_posix(), nothing) for name in names], np.float64)


def _number(path: Path, row: csv_files.Row, column: int) -> float:
    text = row.cell(column)
    try:
        return float(text)
    except ValueError:
        raise DataError(f"{path}: the target of {row.cells[0]} is {text!r}, a number is wanted") from None
