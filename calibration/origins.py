"""Where images come from: folders, patterns, lists and arrays.

Names and labels are known first; the content of an image is read when it is asked for.
"""

from __future__ import annotations

import glob
import os
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edgekit.annotations.lying import of_a_list
from edgekit.annotations.reading import images_of
from edgekit.calibration import csv_files
from edgekit.calibration.array_files import arrays_of
from edgekit.errors import DataError
from edgekit.image_files import SUFFIXES, image_of, is_hidden, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from contextlib import AbstractContextManager

    from PIL import Image

LABELS_FILE = "labels.csv"
FILE_COLUMNS = ("file", "path", "image")
LABEL_COLUMNS = ("class_index", "label", "class")


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
    def class_names(self) -> tuple[str, ...] | None:
        """Names of classes that labels are places among, in order; None where labels are class indices."""

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
    if source.exists() and (found := images_of(source)) is not None:
        return Files(found[0], None, found[1]), f"in {source}"
    if source.is_dir():
        return _folder(source), f"in {source}"
    if not source.exists():
        if glob.has_magic(str(source)):
            return _pattern(str(source)), f"matching {source}"
        raise DataError(f"{source} does not exist: name a folder of images, a pattern, an .npz, .npy or .csv file")
    match source.suffix.lower():
        case ".npz" | ".npy":
            return arrays_of(source), f"in {source}"
        case ".csv":
            return _list(source), f"listed in {source}"
        case suffix if suffix in SUFFIXES:
            return Files([source.name], None, [source]), f"in {source}"
    if instead := of_a_list(source):
        raise DataError(instead)
    raise DataError(f"{source} is no image ({' '.join(SUFFIXES)}), no array (.npz, .npy) and no list (.csv)")


@dataclass(frozen=True, slots=True)
class Files:
    """One file an image."""

    names: Sequence[str]
    labels: Sequence[int] | None
    paths: Sequence[Path]
    class_names: tuple[str, ...] | None = None
    unread: str | None = None

    @contextmanager
    def reading(self) -> Iterator[Callable[[int], bytes]]:
        """See ``Origin``."""
        yield lambda index: self.paths[index].read_bytes()

    def decode(self, content: bytes) -> Image.Image:
        """See ``Origin``."""
        return image_of(content)


def _folder(root: Path) -> Files:
    images, others = walk(root)
    if not images:
        seen = f"what it holds is {_counted(others)}" if others else "it is empty"
        raise DataError(f"there is no image in {root}, {seen}: edgekit reads {' '.join(SUFFIXES)}")
    names = [path.relative_to(root).as_posix() for path in images]
    table = root / LABELS_FILE
    if table.is_file():
        given = _labels_from_table(table, names)
        return Files(names, given.labels, images, given.class_names)
    if (folders := _class_folders(root, names)) is None:
        return Files(names, None, images)
    place = {name: index for index, name in enumerate(folders)}
    return Files(names, [place[name.split("/")[0]] for name in names], images, folders)


def subfolders(root: Path) -> tuple[str, ...]:
    """The names of all folders in ``root`` that are not hidden, in the order of classes."""
    return in_order({entry.name for entry in os.scandir(root) if entry.is_dir() and not is_hidden(entry.name)})


def in_order(names: Collection[str]) -> tuple[str, ...]:
    """Names of classes in order: by number where all are numbers, else by name, as torchvision's ImageFolder has it."""
    are_numbers = all(name.isascii() and name.isdigit() for name in names)
    return tuple(sorted(names, key=lambda name: (int(name), name) if are_numbers else (0, name)))


def _class_folders(root: Path, names: Sequence[str]) -> tuple[str, ...] | None:
    """The subfolders, one a class, in order; None where they cannot be that."""
    folders = subfolders(root)
    used = {name.split("/")[0] for name in names if "/" in name}
    if len(folders) < 2 or used != set(folders) or not all("/" in name for name in names):
        return None
    return folders


def _labels_from_table(table: Path, names: Sequence[str]) -> _Labels:
    rows = _read_list(table)
    labels: dict[str, str] = {}
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
    given = _labels_of(table, rows)
    assert given is not None, "every row has a label"
    of_file = {Path(row.file).as_posix(): label for row, label in zip(rows, given.labels, strict=True)}
    return _Labels([of_file[name] for name in names], given.class_names)


def _pattern(pattern: str) -> Files:
    found = sorted(Path(path) for path in glob.glob(pattern, recursive=True))  # noqa: PTH207 - Path.glob needs a folder
    images = [path for path in found if path.suffix.lower() in SUFFIXES and path.is_file()]
    if not images:
        seen = f"what it matches is {_counted(found)}" if found else "it matches nothing"
        raise DataError(f"no image matches {pattern}, {seen}: edgekit reads {' '.join(SUFFIXES)}")
    common = Path(os.path.commonpath([path.parent for path in images]))
    return Files([path.relative_to(common).as_posix() for path in images], None, images)


# --- lists ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    file: str
    label: str | None


@dataclass(frozen=True, slots=True)
class _Labels:
    """One an image: places among names of classes, or class indices where there are no names."""

    labels: Sequence[int]
    class_names: tuple[str, ...] | None


def _list(table: Path) -> Files:
    rows = _read_list(table)
    paths = [table.parent / row.file for row in rows]
    missing = [row for row, path in zip(rows, paths, strict=True) if not path.is_file()]
    if missing:
        raise DataError(
            f"{table}, line {missing[0].line}: {_several([row.file for row in missing])} {_do(missing)} not exist; "
            f"paths start from {table.parent}"
        )
    names = [row.file for row in rows]
    fraction = next((row for row in rows if _is_number(row.label) and not _is_number(row.label, int)), None)
    if fraction is not None and all(_is_number(row.label) for row in rows):  # what regression learns, and no class
        return Files(names, None, paths, unread=_no_label(table, fraction))
    given = _labels_of(table, rows)
    return Files(names, None, paths) if given is None else Files(names, given.labels, paths, given.class_names)


def _read_list(path: Path) -> list[_Row]:
    """The images that a CSV file lists: either all have a label, or none has."""
    table = csv_files.read(path)
    if not table.header:
        raise DataError(f"{path} is empty")
    if len(table.header) == 1 and Path(table.header[0].lower()).suffix in SUFFIXES:  # a bare list of files
        return [_Row(1, table.header[0], None), *(_Row(row.line, row.cells[0], None) for row in table.rows)]
    first = table.header[0].lower()
    if first not in FILE_COLUMNS and len(table.header) > 1:
        raise DataError(f"{path}: the first column is {first!r}, it has to be named {' or '.join(FILE_COLUMNS)}")
    if not table.rows:
        raise DataError(f"{path} lists no image")
    column = table.column(LABEL_COLUMNS)
    return [_Row(row.line, row.cells[0], None if column is None else row.cell(column)) for row in table.rows]


def _labels_of(table: Path, rows: Sequence[_Row]) -> _Labels | None:
    """What the rows of a list say of their images' classes; None where that is nothing."""
    texts = [row.label for row in rows if row.label is not None]
    if not texts:
        return None
    are_indices = any(map(_is_index, texts))
    fits, wanted = (_is_index, "") if are_indices else (_is_name, ", or the name of its class,")
    wrong = next((row for row in rows if not fits(row.label or "")), None)
    if wrong is not None:
        raise DataError(_no_label(table, wrong, wanted))
    if are_indices:
        return _Labels([int(text) for text in texts], None)
    names = in_order(set(texts))
    place = {name: index for index, name in enumerate(names)}
    return _Labels([place[text] for text in texts], names)


def _is_index(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _is_name(text: str) -> bool:
    return bool(text) and not _is_number(text)


def _is_number(text: str | None, kind: type[float] | type[int] = float) -> bool:
    try:
        kind(text or "")
    except ValueError:
        return False
    return True


# --- messages -------------------------------------------------------------------------------------------------------


def _counted(paths: Sequence[Path]) -> str:
    """What kinds of files these are: "12 .txt, 1 without suffix"."""
    kinds = Counter(path.suffix.lower() or "without suffix" for path in paths)
    return ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items(), key=lambda item: (-item[1], item[0])))


def _several(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _do(things: Sequence[object]) -> str:
    return "does" if len(things) == 1 else "do"


def _no_label(table: Path, row: _Row, wanted: str = "") -> str:
    return f"{table}, line {row.line}: the label is {row.label!r}, a class index (0, 1, 2, ...){wanted} is wanted"
