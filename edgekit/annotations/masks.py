"""Masks beside images: a picture of the same size, whose pixels are classes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from edgekit.annotations.annotated import Annotated, sizes
from edgekit.annotations.moving import UNKNOWN, Mask
from edgekit.annotations.targets import MaskTargets
from edgekit.errors import DataError
from edgekit.image_files import FORMATS, said
from edgekit.words import count

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.annotations.places import Pairs

SUFFIXES: Final = (".png", ".bmp", ".gif", ".pgm", ".tif", ".tiff")  # formats that leave values as they are
_ONE_CHANNEL: Final = ("1", "L", "P", "I;16", "I;16B", "I")
_NONE: Final = 256  # stands for a value that is no class


def read(pairs: Pairs, names: Mapping[int, str]) -> Annotated:
    """The images of a folder, and their masks of the same name; of an image without one nothing is known.

    A mask has one channel, or a palette whose places are its values. 255 means that nobody knows, unless it has a name.

    Args:
        pairs: images and masks.
        names: of the values that are classes, in the order of these; empty where the values 0, 1, 2, ... are.

    Raises:
        DataError: a mask is none; the message says what and where.
    """
    table = np.full(2**16, _NONE, np.int64)
    table[UNKNOWN] = UNKNOWN
    values = list(names) or list(range(UNKNOWN))
    table[values] = np.arange(len(values))
    shapes = sizes(pairs.images)
    reading = [
        partial(_unknown, size) if path is None else partial(_mask, path, size, table)
        for path, size in zip(pairs.others, shapes, strict=True)
    ]
    targets = MaskTargets.of(reading)
    largest = max((max(present, default=-1) for present in targets.present), default=-1)
    if largest < 0:
        raise DataError(f"no mask in {pairs.folder} has a pixel of a class: all are {UNKNOWN}, which means not known")
    labels = tuple(names.values()) or tuple(str(value) for value in range(largest + 1))
    lacking = _lacking(pairs)
    notes = (f"{lacking}: nothing is known of their pixels.",) if lacking else ()
    return Annotated(pairs.names, pairs.images, shapes, targets, labels, notes)


def check(pairs: Pairs) -> None:
    """Refuse images without a mask.

    Raises:
        DataError: there is one.
    """
    if lacking := _lacking(pairs):
        raise DataError(
            f"{lacking}: add what is missing, or list the others in a train.txt and val.txt beside the folders"
        )


def _lacking(pairs: Pairs) -> str:
    """Which images have no mask, in words; empty where all have."""
    without = [name for name, path in zip(pairs.names, pairs.others, strict=True) if path is None]
    if not without:
        return ""
    number = f"{count(len(without), 'image')} {'has' if len(without) == 1 else 'have'}"
    return f"{number} no mask in {pairs.folder}, the first is {without[0]}"


def _unknown(size: tuple[int, int] | None) -> Mask:
    """The mask of an image of which nobody knows anything."""
    return np.full((1, 1) if size is None else size[::-1], UNKNOWN, np.uint8)


def _mask(path: Path, size: tuple[int, int] | None, table: NDArray[np.int64]) -> Mask:
    """A mask as class indices.

    Args:
        path: of its file.
        size: (width, height) of its image; None where that is none.
        table: of each value the class index; 255 where it stands for what is not known, ``_NONE`` where for nothing.
    """
    values = _values(path)
    if size is not None and values.shape != size[::-1]:
        raise DataError(
            f"{path} is {values.shape[1]} x {values.shape[0]}, and its image is {size[0]} x {size[1]}: a mask has the "
            f"size of its image"
        )
    classes = table[values]
    if (strange := classes == _NONE).any():
        value = int(values[strange][0])
        raise DataError(
            f"{path} has {count(int((values == value).sum()), 'pixel')} of the value {value}, which no class has: add "
            f"it to classes.txt (a line '{value} NAME'), or make it {UNKNOWN}, which means not known"
        )
    return classes.astype(np.uint8)


def _values(path: Path) -> NDArray[np.uint16]:
    """What a mask holds, [H, W]."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            mode, values = image.mode, np.asarray(image)
    except Exception as error:  # decoders of broken files raise whatever they stumble over
        raise DataError(f"{path} cannot be used: {said(error)}") from error
    if mode not in _ONE_CHANNEL:
        if mode != "RGB" or (values != values[..., :1]).any():
            raise DataError(
                f"{path} is a picture in colours ({mode}), and a mask has one channel whose values are the classes: "
                f"save class indices as a grey PNG"
            )
        values = values[..., 0]
    return values.astype(np.uint16)
