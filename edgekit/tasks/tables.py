"""Numbers that lie beside images: in the same .npz, in the .csv that lists them, or in a table in their folder."""

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

    Of a table, the columns that are named like ``names`` count, or else all columns but the first, and but ``split``.

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
    columns = columns if len(columns) == len(names) == width else _columns(table)
    if len(columns) != width:
        raise DataError(
            f"{path} has {len(columns)} columns beside the paths ({', '.join(table.header[i] for i in columns)}), and "
            f"the network gives {width} numbers an image: leave out what is none of them, or name them as in "
            f"--labels FILE"
        )
    return _of_table(path, table, columns, images.names, partly=images_of(images.source) is not None)


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
    table = csv_files.read(path) if kind == ".csv" else None
    if table is None or not (columns := _columns(table)):
        return None
    partly = images_of(source) is not None
    return _of_table(path, table, columns, names, partly=partly), tuple(table.header[column] for column in columns)


def _beside(source: Path) -> tuple[str, Path]:
    """The kind of place that numbers lie in, and its path; no kind where there is no such file."""
    path = source / TABLE if source.is_dir() else source
    if path.suffix.lower() in {JSON, LIST}:
        path = source.parent / TABLE
    return path.suffix.lower() if path.is_file() else "", path


def _columns(table: csv_files.Table) -> list[int]:
    """The places of all columns that may be numbers."""
    return [place for place, name in enumerate(table.header) if place > 0 and name.lower() != SPLIT]


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
    rows = {Path(row.cells[0]).as_posix(): [_number(path, row, column) for column in columns] for row in table.rows}
    if partly:
        rows = {key.removeprefix("images/"): values for key, values in rows.items()}
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
