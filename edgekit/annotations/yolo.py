"""Boxes as YOLO has them: a text file an image, a line a box.

A line holds the class index, and the middle, width and height of the box in shares of the image. Source:
docs.ultralytics.com, "Object Detection Datasets Overview", "Ultralytics YOLO format".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edgekit.annotations.annotated import Annotated, sizes
from edgekit.annotations.settling import Settling
from edgekit.annotations.targets import BoxTargets
from edgekit.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgekit.annotations.places import Pairs

_LARGEST: Final = 1.5  # of a share; a box may reach out of its image, but what is larger is a number of pixels


def read(pairs: Pairs, labels: Sequence[str]) -> Annotated:
    """The images of a folder, and the boxes that text files of the same name hold.

    An image without such a file, or with an empty one, shows background alone.

    Args:
        pairs: images and files.
        labels: names of classes; empty where these are called by their indices.

    Raises:
        DataError: a line is none; the message says what and where.
    """
    rows = {path: _rows(path, labels) for path in pairs.all}
    largest = max((index for of_file in rows.values() for index, *_ in of_file), default=-1)
    classes = tuple(labels) or tuple(str(index) for index in range(largest + 1))
    settling = Settling(f"in {pairs.folder}")
    boxes = []
    shapes = sizes(pairs.images)
    for name, path, size in zip(pairs.names, pairs.others, shapes, strict=True):
        width, height = size or (1, 1)  # of what is no image, and is told so later
        found = [] if path is None else rows[path]
        corners = [
            ((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height)
            for _, x, y, w, h in found
        ]
        nothing = [False] * len(found)
        boxes.append(settling.boxes(name, (width, height), corners, [int(index) for index, *_ in found], nothing))
    return Annotated(pairs.names, pairs.images, shapes, BoxTargets(boxes), classes, settling.notes())


def _rows(path: Path, labels: Sequence[str]) -> list[tuple[int, float, float, float, float]]:
    rows = []
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text in UTF-8: {error}") from error
    for number, line in enumerate(text.splitlines(), 1):
        cells = line.split()
        if not cells:
            continue
        where = f"{path}, line {number}"
        if len(cells) > 6:
            raise DataError(f"{where} has {len(cells)} numbers, as outlines of objects have: boxes are wanted, {_LINE}")
        if len(cells) != 5:
            raise DataError(f"{where} has {len(cells)} numbers: five are wanted, {_LINE}")
        try:
            index, shares = int(cells[0]), [float(cell) for cell in cells[1:]]
        except ValueError:
            raise DataError(f"{where} is {line.strip()!r}: five numbers are wanted, {_LINE}") from None
        if index < 0 or (labels and index >= len(labels)):
            known = f"{len(labels)} classes have names" if labels else "the first class is 0"
            raise DataError(f"{where} is of the class {index}, and {known}: correct it, or name the class")
        if not all(-_LARGEST < share < _LARGEST for share in shares):
            raise DataError(f"{where} has {max(shares, key=abs):g}: shares of the image are wanted, from 0 to 1")
        x, y, width, height = shares
        rows.append((index, x, y, width, height))
    return rows


_LINE: Final = "a class index, and the middle, width and height of a box"
