"""Where images come from: folders, patterns, lists and arrays.

Names and labels are known first; the content of an image is read when it is asked for.
"""

from __future__ import annotations

import csv
import glob
import io
import math
import os
import zipfile
import zlib
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image

from edgekit.conventions import USUAL_ORDER
from edgekit.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager


SUFFIXES = (".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp")
# Pillow decides by content, not by name, and knows formats that start other programs (EPS starts Ghostscript).
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
LABELS_FILE = "labels.csv"
FILE_COLUMNS = ("file", "path", "image")
LABEL_COLUMNS = ("class_index", "label", "class")
ARRAY_NAME, ARRAY_LABELS_NAME = "images", "labels"
ARRAY_WANTED = (
    "uint8 pixels (0 to 255, RGB, before any normalization) of shape [N, H, W, 3], in grey [N, H, W], or with a fourth "
    "channel [N, H, W, 4]"
)


class Origin(Protocol):
    """Images of one kind of place."""

    @property
    def names(self) -> Sequence[str]:
        """One an image: relative to the place."""

    @property
    def labels(self) -> Sequence[int] | None:
        """Class indices, one an image; None where they are not known."""

    @property
    def unread(self) -> str | None:
        """What stands beside images that is no class index each, and what to do; None where nothing does."""

    @property
    def folders(self) -> tuple[str, ...] | None:
        """The subfolders that labels are places among, in order; None where labels are class indices."""

    def reading(self) -> AbstractContextManager[Callable[[int], bytes]]:
        """Gives what reads the content of an image by its index."""

    def decode(self, content: bytes) -> Image.Image:
        """The image that a content is."""


def origin_of(source: Path) -> tuple[Origin, str]:
    """The origin that a path or pattern names, and where that is, for people.

    Raises:
        DataError: there is no image, or something contradicts itself.
        OSError: it cannot be read.
    """
    if source.is_dir():
        return _folder(source), f"in {source}"
    if not source.exists():
        if glob.has_magic(str(source)):
            return _pattern(str(source)), f"matching {source}"
        raise DataError(f"{source} does not exist: name a folder of images, a pattern, an .npz, .npy or .csv file")
    match source.suffix.lower():
        case ".npz" | ".npy":
            return _arrays(source), f"in {source}"
        case ".csv":
            return _list(source), f"listed in {source}"
        case suffix if suffix in SUFFIXES:
            return _Files([source.name], None, [source]), f"in {source}"
    raise DataError(f"{source} is no image ({' '.join(SUFFIXES)}), no array (.npz, .npy) and no list (.csv)")


@dataclass(frozen=True, slots=True)
class _Files:
    """One file an image."""

    names: Sequence[str]
    labels: Sequence[int] | None
    paths: Sequence[Path]
    folders: tuple[str, ...] | None = None
    unread: None = None

    @contextmanager
    def reading(self) -> Iterator[Callable[[int], bytes]]:
        yield lambda index: self.paths[index].read_bytes()

    def decode(self, content: bytes) -> Image.Image:
        return Image.open(io.BytesIO(content), formats=FORMATS)


def _folder(root: Path) -> _Files:
    images, others = _walk(root)
    if not images:
        seen = f"what it holds is {_counted(others)}" if others else "it is empty"
        raise DataError(f"there is no image in {root}, {seen}: edgekit reads {' '.join(SUFFIXES)}")
    names = [path.relative_to(root).as_posix() for path in images]
    table = root / LABELS_FILE
    if table.is_file():
        return _Files(names, _labels_from_table(table, names), images)
    if (folders := _class_folders(root, names)) is None:
        return _Files(names, None, images)
    place = {name: index for index, name in enumerate(folders)}
    return _Files(names, [place[name.split("/")[0]] for name in names], images, folders)


def _walk(root: Path) -> tuple[list[Path], list[Path]]:
    """All images below ``root``, sorted by path, and all other files. Follows links to folders, but not in circles."""
    images: list[Path] = []
    others: list[Path] = []

    def fail(error: OSError) -> None:
        raise error

    visited = set()
    for folder, subfolders, files in os.walk(root, onerror=fail, followlinks=True):
        real = Path(folder).resolve()
        subfolders[:] = [] if real in visited else sorted(name for name in subfolders if not _hidden(name))
        if real not in visited:
            for path in (Path(folder, name) for name in files if not _hidden(name)):
                (images if path.suffix.lower() in SUFFIXES else others).append(path)
        visited.add(real)
    return sorted(images, key=lambda path: path.relative_to(root).as_posix()), others


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"  # which is full of files that look like images and are none


def _class_folders(root: Path, names: Sequence[str]) -> tuple[str, ...] | None:
    """The subfolders, one a class, in order; None where they cannot be that."""
    folders = {entry.name for entry in os.scandir(root) if entry.is_dir() and not _hidden(entry.name)}
    used = {name.split("/")[0] for name in names if "/" in name}
    if len(folders) < 2 or used != folders or not all("/" in name for name in names):
        return None
    are_numbers = all(name.isascii() and name.isdigit() for name in folders)
    return tuple(sorted(folders, key=lambda name: (int(name), name) if are_numbers else (0, name)))


def _labels_from_table(table: Path, names: Sequence[str]) -> list[int]:
    rows = _read_table(table)
    labels: dict[str, int] = {}
    for row in rows:
        if row.label is None:
            raise DataError(f"{table} has no column of labels: name it {' or '.join(LABEL_COLUMNS)}")
        name = Path(row.file).as_posix()
        if labels.setdefault(name, row.label) != row.label:
            raise DataError(f"{table}, line {row.line}: {row.file} has two labels, {labels[name]} and {row.label}")
    strangers = [name for name in labels.keys() - set(names) if not (table.parent / name).exists()]
    if strangers:
        raise DataError(
            f"{table} names {_several(sorted(strangers))}, which {_do(strangers)} not exist in {table.parent}"
        )
    unknown = [name for name in names if name not in labels]
    if unknown:
        raise DataError(f"{table} has no label for {_several(unknown)}: add what is missing, or remove that file")
    return [labels[name] for name in names]


def _pattern(pattern: str) -> _Files:
    found = sorted(Path(path) for path in glob.glob(pattern, recursive=True))  # noqa: PTH207 - Path.glob needs a folder
    images = [path for path in found if path.suffix.lower() in SUFFIXES and path.is_file()]
    if not images:
        seen = f"what it matches is {_counted(found)}" if found else "it matches nothing"
        raise DataError(f"no image matches {pattern}, {seen}: edgekit reads {' '.join(SUFFIXES)}")
    common = Path(os.path.commonpath([path.parent for path in images]))
    return _Files([path.relative_to(common).as_posix() for path in images], None, images)


# --- lists ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    file: str
    label: int | None


def _list(table: Path) -> _Files:
    rows = _read_table(table)
    paths = [table.parent / row.file for row in rows]
    missing = [row for row, path in zip(rows, paths, strict=True) if not path.is_file()]
    if missing:
        raise DataError(
            f"{table}, line {missing[0].line}: {_several([row.file for row in missing])} {_do(missing)} not exist; "
            f"paths start from {table.parent}"
        )
    labels = [row.label for row in rows if row.label is not None]
    return _Files([row.file for row in rows], labels or None, paths)


def _read_table(table: Path) -> list[_Row]:
    """The rows of a CSV file: either all have a label, or none has."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:  # spreadsheets write a byte order mark
            reader = csv.reader(stream)
            lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table} is not a CSV file in UTF-8: {error}") from error
    lines = [(line, cells) for line, cells in lines if any(cells)]
    if not lines:
        raise DataError(f"{table} is empty")
    header = [cell.lower() for cell in lines[0][1]]
    if len(header) == 1 and Path(header[0]).suffix in SUFFIXES:  # a bare list of files
        header = ["file"]
    else:
        del lines[0]
    if header[0] not in FILE_COLUMNS and len(header) > 1:
        raise DataError(f"{table}: the first column is {header[0]!r}, it has to be named {' or '.join(FILE_COLUMNS)}")
    if not lines:
        raise DataError(f"{table} lists no image")
    column = next((header.index(name) for name in LABEL_COLUMNS if name in header), None)
    return [_Row(line, cells[0], _label(table, line, cells, column)) for line, cells in lines]


def _label(table: Path, line: int, cells: list[str], column: int | None) -> int | None:
    if column is None:
        return None
    text = cells[column] if column < len(cells) else ""
    if not (text.isascii() and text.isdigit()):
        raise DataError(f"{table}, line {line}: the label is {text!r}, a class index (0, 1, 2, ...) is wanted")
    return int(text)


# --- arrays ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Arrays:
    """Images in one array of a .npy or .npz file, of which only what is asked for is held in memory."""

    names: Sequence[str]
    labels: Sequence[int] | None
    path: Path
    shape: tuple[int, ...]  # of one image, [H, W], [H, W, 3] or [H, W, 4]
    folders: None = None
    unread: None = None

    @contextmanager
    def reading(self) -> Iterator[Callable[[int], bytes]]:
        size = math.prod(self.shape)
        with ExitStack() as stack:
            stream = _open_array(self.path, stack)
            _read_header(stream)
            start = stream.tell()

            def read(index: int) -> bytes:
                stream.seek(start + index * size)
                content = stream.read(size)
                if len(content) < size:
                    raise EOFError("the file ends too early")
                return content

            yield read

    def decode(self, content: bytes) -> Image.Image:
        return Image.fromarray(np.frombuffer(content, np.uint8).reshape(self.shape))


def _arrays(path: Path) -> _Arrays:
    try:
        with ExitStack() as stack:
            shape, dtype = _read_header(_open_array(path, stack))
        _check_pixels(path, shape, dtype)
        labels = _array_labels(path, shape[0]) if path.suffix.lower() == ".npz" else None
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} is no NumPy file, or is damaged: {error}") from error
    grey = len(shape) == 3 or shape[3] == 1
    return _Arrays([f"{path.name}[{i}]" for i in range(shape[0])], labels, path, shape[1:3] if grey else shape[1:])


def _open_array(path: Path, stack: ExitStack) -> IO[bytes]:
    """The bytes of the array of images, header first."""
    if path.suffix.lower() == ".npy":
        return stack.enter_context(path.open("rb"))
    archive = stack.enter_context(zipfile.ZipFile(path))
    if f"{ARRAY_NAME}.npy" not in archive.namelist():
        held = ", ".join(entry.removesuffix(".npy") for entry in archive.namelist()) or "nothing"
        raise DataError(f"{path} has no array named {ARRAY_NAME!r}, it holds {held}: edgekit wants {ARRAY_WANTED}")
    return stack.enter_context(archive.open(f"{ARRAY_NAME}.npy"))


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and element type; the stream is then at the first element."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran_order, dtype = read(stream)
    if fortran_order and len(shape) > 1:
        raise ValueError("its elements are in Fortran order, save np.ascontiguousarray of it")
    return shape, dtype


def _check_pixels(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> None:
    found = f"{path} holds {dtype} of shape {list(shape)}, edgekit wants {ARRAY_WANTED}"
    if np.issubdtype(dtype, np.floating):
        raise DataError(
            f"{found}: of pixels from 0 to 1 save (images * 255).round().astype('uint8'), of pixels from 0 to 255 "
            f"images.round().astype('uint8'); what was normalized has to be turned back first, images * std + mean"
        )
    if dtype != np.uint8:
        raise DataError(f"{found}: of pixels from 0 to 255 save images.astype('uint8')")
    if len(shape) == 4 and shape[1] in USUAL_ORDER and shape[3] not in USUAL_ORDER:
        raise DataError(f"{found}: move the channels to the end, images.transpose(0, 2, 3, 1)")
    if len(shape) == 3 and shape[2] in {3, 4}:
        raise DataError(f"{found}: if this is one image, save image[None]")
    if not (len(shape) == 3 or (len(shape) == 4 and shape[3] in USUAL_ORDER)):
        raise DataError(found)
    if 0 in shape:
        raise DataError(f"{path} holds no image, its shape is {list(shape)}")


def _array_labels(path: Path, images: int) -> list[int] | None:
    with np.load(path, allow_pickle=False) as archive:
        if ARRAY_LABELS_NAME not in archive.files:
            return None
        labels = archive[ARRAY_LABELS_NAME]
    if not np.issubdtype(labels.dtype, np.integer) or labels.shape != (images,):
        raise DataError(
            f"the labels in {path} are {labels.dtype} of shape {list(labels.shape)}, one class index an image is "
            f"wanted: integers of shape [{images}]"
        )
    if (labels < 0).any():
        raise DataError(f"{path} holds a negative label, {labels.min()}: class indices start from 0")
    return [int(label) for label in labels]


# --- messages -------------------------------------------------------------------------------------------------------


def _counted(paths: Sequence[Path]) -> str:
    """What kinds of files these are: "12 .txt, 1 without suffix"."""
    kinds = Counter(path.suffix.lower() or "without suffix" for path in paths)
    return ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items(), key=lambda item: (-item[1], item[0])))


def _several(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _do(things: Sequence[object]) -> str:
    return "does" if len(things) == 1 else "do"
