"""Numbers that lie beside images: in the same .npz, in the .csv that lists them, or in a table in their folder."""

from __future__ import annotations

import csv
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgekit.calibration.images import ImageSource

ARRAY: Final = "targets"
TABLE: Final = "targets.csv"


def numbers(images: ImageSource, names: Sequence[str], width: int) -> NDArray[np.float64] | None:
    """The numbers of each image, [N, width]; None where there are none.

    =============  ============================================================================================
    .npz           an array ``targets``, [all images] or [all images, width], beside ``images``
    .csv           columns beside the path of each image
    folder         such a table, ``targets.csv``, with paths from the folder
    =============  ============================================================================================

    Of a table, the columns that are named like ``names`` count, or else all columns but the first.

    Args:
        images: which, and from where.
        names: of the numbers; empty where they have none.
        width: how many numbers an image has.

    Raises:
        DataError: there are others than wanted, or some are missing or no numbers.
    """
    source = images.source
    if source is None:
        return None
    if source.is_dir():
        source /= TABLE
    match source.suffix.lower():
        case ".npz":
            found = _of_array(source, width)
            return None if found is None else found[list(images.indices)]
        case ".csv" if source.is_file():
            rows = _of_table(source, names, width)
            return None if rows is None else _of_images(rows, images.names, source)
    return None


def _of_array(path: Path, width: int) -> NDArray[np.float64] | None:
    try:
        with np.load(path, allow_pickle=False) as archive:
            if ARRAY not in archive.files:
                return None
            array = archive[ARRAY]
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} is no NumPy file, or is damaged: {error}") from error
    if not np.issubdtype(array.dtype, np.number) or array.size != len(array) * width:
        raise DataError(
            f"the targets in {path} are {array.dtype} of shape {list(array.shape)}, and the network gives {width} "
            f"numbers an image: save as many, [images, {width}]"
        )
    found: NDArray[np.float64] = array.reshape(len(array), width).astype(np.float64)
    return found


def _of_table(path: Path, names: Sequence[str], width: int) -> dict[str, list[float]] | None:
    """The numbers of each image by its path; None where a list holds paths alone."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:  # spreadsheets write a byte order mark
            lines = [[cell.strip() for cell in cells] for cells in csv.reader(stream)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a CSV file in UTF-8: {error}") from error
    header, *rows = [cells for cells in lines if any(cells)] or [[]]
    if len(header) < 2:
        return None
    columns = [header.index(name) for name in names if name in header]
    columns = columns if len(columns) == len(names) == width else list(range(1, len(header)))
    if len(columns) != width:
        raise DataError(
            f"{path} has {len(columns)} columns beside the paths ({', '.join(header[1:])}), and the network gives "
            f"{width} numbers an image: leave out what is none of them, or name them as in --labels FILE"
        )
    return {Path(cells[0]).as_posix(): [_number(path, cells, column) for column in columns] for cells in rows}


def _number(path: Path, cells: Sequence[str], column: int) -> float:
    text = cells[column] if column < len(cells) else ""
    try:
        return float(text)
    except ValueError:
        raise DataError(f"{path}: the target of {cells[0]} is {text!r}, a number is wanted") from None


def _of_images(rows: dict[str, list[float]], names: Sequence[str], path: Path) -> NDArray[np.float64]:
    missing = [name for name in names if Path(name).as_posix() not in rows]
    if missing:
        raise DataError(f"{path} has no target for {missing[0]}: add what is missing, or remove that image")
    return np.asarray([rows[Path(name).as_posix()] for name in names], np.float64)
