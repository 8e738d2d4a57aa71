"""What lies in a place where something else was looked for, so that people are told what they have named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edgekit.annotations import naming, reading
from edgekit.errors import DataError
from edgekit.image_files import is_hidden, walk

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CLASSIFICATION: Final = "classification"
_SHOWN: Final = 3  # names, of many


def lying_in(source: Path) -> tuple[str, str] | None:
    """The task that a place serves, and what lies there, for people; None where edgekit finds nothing of any.

    Raises:
        OSError: a folder cannot be read.
    """
    if source.is_dir():
        return _of_a_folder(source)
    if source.suffix.lower() == reading.JSON:
        return (reading.DETECTION, "COCO's boxes") if source.is_file() else None
    return _beside(source) if source.suffix.lower() == reading.LIST else None


def _of_a_folder(source: Path) -> tuple[str, str] | None:
    if files := reading.json_files(source):
        return reading.DETECTION, f"COCO's boxes ({_few([path.name for path in files])})"
    if (found := _beside(source)) is not None:
        return found
    folders = sorted(path for path in source.iterdir() if path.is_dir() and not is_hidden(path.name))
    classes = [path.name for path in folders if walk(path)[0]]
    return (CLASSIFICATION, f"a folder for each class ({_few(classes)})") if len(classes) > 1 else None


def _beside(source: Path) -> tuple[str, str] | None:
    """Boxes or masks, of a folder of images or of a list of them."""
    for task, what in ((reading.DETECTION, "boxes"), (reading.SEGMENTATION, "masks")):
        try:
            found = reading.read(source, task)
        except DataError:  # it is there, whatever is wrong with it
            return task, f"{what} beside the images"
        if found is not None:
            return task, f"{what} beside the images"
    return None


def _few(names: Sequence[str]) -> str:
    """The first names."""
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")


def of_a_list(source: Path) -> str:
    """What to name instead of a file that describes a data set, as YOLO's data.yaml does; "" for any other file."""
    if source.name.lower() not in naming.MAPS:
        return ""
    return f"{source} only describes images and boxes: name the folder that holds images/ and labels/, {source.parent}"
