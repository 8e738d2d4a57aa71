"""Boxes as PASCAL VOC has them: an XML file an image.

``xmin``, ``ymin``, ``xmax`` and ``ymax`` are pixels counted from 1, and the last ones belong to the box. Source: the
development kit of VOC2012, section 4.2, "Annotation"; its VOCreadxml, and PASreadrecord.m.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from edgekit.annotations.annotated import Annotated, sizes
from edgekit.annotations.settling import Settling
from edgekit.annotations.targets import BoxTargets
from edgekit.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgekit.annotations.places import Pairs

_SIDES = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True, slots=True)
class _Record:
    """What a file says: pixels from 0, right and bottom beyond the box; names of classes."""

    size: tuple[int, int] | None
    corners: tuple[tuple[float, float, float, float], ...] = ()
    names: tuple[str, ...] = ()
    difficult: tuple[bool, ...] = ()


def read(pairs: Pairs, labels: Sequence[str]) -> Annotated:
    """The images of a folder, and the boxes that XML files of the same name hold.

    An image without such a file shows background alone.

    Args:
        pairs: images and files.
        labels: names of classes; empty where those that occur are the classes, in alphabetical order. All files of the
            folder count for them, also those of images that are not read.

    Raises:
        DataError: a file is none, or contradicts its image; the message says what and where.
    """
    records = {path: _record(path) for path in pairs.all}
    found = sorted({name for record in records.values() for name in record.names})
    classes = tuple(labels) or tuple(found)
    place = {name: index for index, name in enumerate(classes)}
    settling = Settling(f"in {pairs.folder}")
    boxes = []
    shapes = sizes(pairs.images)
    for name, path, size in zip(pairs.names, pairs.others, shapes, strict=True):
        record = _Record(None) if path is None else records[path]
        size = size or record.size or (1, 1)  # noqa: PLW2901 - of what is no image, and is told so later
        if record.size not in {None, size}:
            assert record.size is not None
            raise DataError(
                f"{path} says that {name} is {record.size[0]} x {record.size[1]}, and it is {size[0]} x {size[1]}: its "
                f"boxes belong to another image, or to one before it was resized or turned"
            )
        if strange := [other for other in record.names if other not in place]:
            raise DataError(f"{path} has an object of the class {strange[0]!r}, which is none of {', '.join(classes)}")
        boxes.append(settling.boxes(name, size, record.corners, [place[n] for n in record.names], record.difficult))
    return Annotated(pairs.names, pairs.images, shapes, BoxTargets(boxes), classes, settling.notes())


def _record(path: Path) -> _Record:
    try:
        root = ET.fromstring(path.read_bytes())  # noqa: S314 - expat 2.4.1 and later bound what entities grow to
    except ET.ParseError as error:
        raise DataError(f"{path} is no XML: {error}") from error
    objects = root.findall("object")
    width, height = (_number(path, root, f"size/{side}", 0.0) for side in ("width", "height"))
    corners = []
    for each in objects:
        left, top, right, bottom = (_number(path, each, f"bndbox/{side}") for side in _SIDES)
        corners.append((left - 1, top - 1, right, bottom))
    names = tuple((each.findtext("name") or "").strip() for each in objects)
    if not all(names):
        raise DataError(f"{path} has an object without a name: add the name of its class")
    difficult = tuple(_number(path, each, "difficult", 0.0) != 0 for each in objects)
    return _Record((int(width), int(height)) if width and height else None, tuple(corners), names, difficult)


def _number(path: Path, element: ET.Element, key: str, default: float | None = None) -> float:
    text = element.findtext(key)
    if text is None and default is not None:
        return default
    try:
        return float(text or "")
    except ValueError:
        said = "is missing" if text is None else f"is {text!r}"
        raise DataError(f"{path}: {key} of an object {said}, and a number is wanted") from None
