"""Images in one array, as NumPy's files have them, and class indices beside them."""

from __future__ import annotations

import math
import zipfile
import zlib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from edgekit.conventions import USUAL_ORDER
from edgekit.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

SUFFIXES: Final = (".npz", ".npy")
IMAGES, LABELS, CLASSES = "images", "labels", "classes"  # names of arrays in an .npz
WANTED: Final = (
    "uint8 pixels (0 to 255, RGB, before any normalization) of shape [N, H, W, 3], in grey [N, H, W], or with a fourth "
    "channel [N, H, W, 4]"
)


@dataclass(frozen=True, slots=True)
class Arrays:
    """Images in one array of a .npy or .npz file, of which only what is asked for is held in memory."""

    names: Sequence[str]
    labels: Sequence[int] | None
    path: Path
    shape: tuple[int, ...]  # of one image, [H, W], [H, W, 3] or [H, W, 4]
    class_names: None = None
    unread: None = None

    @contextmanager
    def reading(self) -> Iterator[Callable[[int], bytes]]:
        """See ``Origin``."""
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
        """See ``Origin``."""
        return Image.fromarray(np.frombuffer(content, np.uint8).reshape(self.shape))


def arrays_of(path: Path) -> Arrays:
    """The images of a .npy or .npz file.

    Raises:
        DataError: it is damaged, or holds none.
    """
    try:
        with ExitStack() as stack:
            shape, dtype = _read_header(_open_array(path, stack))
        _check_pixels(path, shape, dtype)
        labels = _array_labels(path, shape[0]) if path.suffix.lower() == ".npz" else None
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} is no NumPy file, or is damaged: {error}") from error
    grey = len(shape) == 3 or shape[3] == 1
    return Arrays([f"{path.name}[{i}]" for i in range(shape[0])], labels, path, shape[1:3] if grey else shape[1:])


def read_array(path: Path) -> NDArray[np.uint8]:
    """All images of a .npy or .npz file, [N, H, W, C], which ``arrays_of`` has looked at.

    Raises:
        DataError: it is damaged.
    """
    try:
        with ExitStack() as stack:
            stream = _open_array(path, stack)
            shape, _ = _read_header(stream)
            pixels = np.frombuffer(stream.read(math.prod(shape)), np.uint8)
            return pixels.reshape((*shape, 1) if len(shape) == 3 else shape)
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} is damaged: {error}") from error


def names_of_classes(path: Path) -> tuple[str, ...] | None:
    """The names of classes, in order, that lie beside the images of an .npz; None where there are none.

    Raises:
        DataError: there is something else, or a name twice.
    """
    if path.suffix.lower() != ".npz":
        return None
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = archive[CLASSES] if CLASSES in archive.files else None
    except ValueError as error:  # objects of Python
        raise DataError(f"the {CLASSES} in {path} cannot be read: save np.array(names) of plain texts") from error
    if names is None:
        return None
    if names.ndim != 1 or names.dtype.kind != "U" or len(set(names.tolist())) != len(names):
        raise DataError(
            f"the {CLASSES} in {path} are {names.dtype} of shape {list(names.shape)}, and one name a class is wanted, "
            f"none twice: save np.array(names) of plain texts"
        )
    return tuple(names.tolist())


def _open_array(path: Path, stack: ExitStack) -> IO[bytes]:
    """The bytes of the array of images, header first."""
    if path.suffix.lower() == ".npy":
        return stack.enter_context(path.open("rb"))
    archive = stack.enter_context(zipfile.ZipFile(path))
    if f"{IMAGES}.npy" not in archive.namelist():
        held = ", ".join(entry.removesuffix(".npy") for entry in archive.namelist()) or "nothing"
        raise DataError(f"{path} has no array named {IMAGES!r}, it holds {held}: edgekit wants {WANTED}")
    return stack.enter_context(archive.open(f"{IMAGES}.npy"))


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and element type; the stream is then at the first element."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran_order, dtype = read(stream)
    if fortran_order and len(shape) > 1:
        raise ValueError("its elements are in Fortran order, save np.ascontiguousarray of it")
    return shape, dtype


def _check_pixels(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> None:
    found = f"{path} holds {dtype} of shape {list(shape)}, edgekit wants {WANTED}"
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
        if LABELS not in archive.files:
            return None
        labels = archive[LABELS]
    if not np.issubdtype(labels.dtype, np.integer) or labels.shape != (images,):
        raise DataError(
            f"the labels in {path} are {labels.dtype} of shape {list(labels.shape)}, one class index an image is "
            f"wanted: integers of shape [{images}]"
        )
    if (labels < 0).any():
        raise DataError(f"{path} holds a negative label, {labels.min()}: class indices start from 0")
    return [int(label) for label in labels]
