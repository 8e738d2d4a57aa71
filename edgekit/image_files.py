"""Image files: which there are, and what they are before anybody looks at their pixels."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Final

from PIL import ExifTags, Image, UnidentifiedImageError

from edgekit.errors import DataError

SUFFIXES: Final = (
    ".bmp",
    ".gif",
    ".jfif",
    ".jpe",
    ".jpeg",
    ".jpg",
    ".pgm",
    ".png",
    ".pnm",
    ".ppm",
    ".tif",
    ".tiff",
    ".webp",
)
# Pillow decides by content, not by name, and knows formats that start other programs (EPS starts Ghostscript).
FORMATS: Final = ("JPEG", "PNG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
_TURNED: Final = (5, 6, 7, 8)  # EXIF orientations whose width is the upright height


def image_of(content: bytes) -> Image.Image:
    """The image that a file's bytes are; its header is read, its pixels are not yet.

    Raises:
        DataError: it is no image. Decoders of broken files raise whatever they stumble over.
    """
    try:
        return Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError:  # its message names an object in memory
        raise DataError("it is no image" if content else "it is empty") from None


def upright_size(image: Image.Image) -> tuple[int, int]:
    """(Width, height) of an image once it is turned as its EXIF orientation says; its pixels are not decoded."""
    return image.size[::-1] if image.getexif().get(ExifTags.Base.Orientation, 1) in _TURNED else image.size


def said(error: Exception) -> str:
    """What an exception says: "Permission denied", without a number or a path."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def walk(root: Path) -> tuple[list[Path], list[Path]]:
    """All images below ``root``, sorted by path, and all other files. Follows links to folders, but not in circles.

    Raises:
        OSError: a folder cannot be read.
    """
    images: list[Path] = []
    others: list[Path] = []

    def fail(error: OSError) -> None:
        raise error

    visited = set()
    for folder, subfolders, files in os.walk(root, onerror=fail, followlinks=True):
        real = Path(folder).resolve()
        subfolders[:] = [] if real in visited else sorted(name for name in subfolders if not is_hidden(name))
        if real not in visited:
            for path in (Path(folder, name) for name in files if not is_hidden(name)):
                (images if path.suffix.lower() in SUFFIXES else others).append(path)
        visited.add(real)
    return sorted(images, key=lambda path: path.relative_to(root).as_posix()), others


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is none of the user's."""
    return name.startswith(".") or name == "__MACOSX"  # which is full of files that look like images and are none
