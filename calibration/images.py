"""Images for calibration and verification, from wherever they lie, one batch at a time.

An ``ImageSource`` knows the names and labels of its images, reads one batch at a time, and can be read any number of
times. What cannot be decoded is left out, with its label, and recorded.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from edgekit.annotations.reading import read
from edgekit.calibration.origins import origin_of
from edgekit.conventions import USUAL_ORDER
from edgekit.errors import ConfigError, DataError
from edgekit.image_files import said
from edgekit.preprocessing import Preprocessing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from edgekit.annotations.annotated import Annotated
    from edgekit.calibration.origins import Origin
    from edgekit.geometry import Geometry


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class PixelBatch:
    """A few images, as the network sees them.

    Attributes:
        pixels: uint8, [N, H, W, C].
        labels: class indices, one an image; None where they are not known.
        names: one an image.
    """

    pixels: NDArray[np.uint8]
    labels: tuple[int, ...] | None
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)  # likewise
class _Decoded:
    """One image, [H, W, C], and whether its fourth channel is made up."""

    pixels: NDArray[np.uint8]
    is_filled: bool


@dataclass(frozen=True, slots=True)
class _Broken:
    """Stands for what could not be read or decoded, and says why."""

    reason: str


class ImageSource:
    """Images that are read when they are asked for; see ``open_images``.

    Attributes:
        description: what is read, for people: "100 of 1281 images in photos".
        source: the folder or file that was opened; None of a pattern, and of images in memory.
    """

    def __init__(  # noqa: PLR0913 - what is read, and how
        self,
        origin: Origin,
        chosen: Sequence[int],
        preprocessing: Preprocessing,
        description: str,
        *,
        strict: bool,
        source: Path | None = None,
    ) -> None:
        self.description, self.source = description, source
        self._origin, self._chosen, self._preprocessing, self._strict = origin, tuple(chosen), preprocessing, strict
        self._broken: dict[int, str] = {}  # by index: why
        self._filled: set[int] = set()  # indices
        self._hashes: dict[int, bytes] = {}  # by index: of the content
        self._annotated: dict[str, Annotated | None] = {}  # by task: of all images

    def __len__(self) -> int:
        """The number of images, without those that turned out broken so far; exact after one pass."""
        return len(self._chosen) - len(self._broken)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the images that ``len`` counts, in order: relative to the folder or file that was opened."""
        return tuple(self._origin.names[index] for index in self._usable)

    @property
    def indices(self) -> tuple[int, ...]:
        """The places of ``names`` among all images of the folder or file that was opened."""
        return self._usable

    @property
    def labels(self) -> tuple[int, ...] | None:
        """The class indices that belong to ``names``; None where they are not known."""
        labels = self._origin.labels
        return None if labels is None else tuple(labels[index] for index in self._usable)

    @property
    def unread_labels(self) -> str | None:
        """What stands beside images that is no class index each, and what to do; None where nothing does."""
        return self._origin.unread

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Names of classes that labels are places among, in order; None where labels are class indices."""
        return self._origin.class_names

    def annotated(self, task: str) -> Annotated | None:
        """What lies beside the images of ``names``, in their order, as the network sees it; None where nothing does.

        Boxes and masks are moved as preprocessing moves their image.

        Args:
            task: whose targets are wanted, as ``annotations.reading`` has them.

        Raises:
            DataError: it contradicts itself, or an image has none; the message says what and where.
        """
        if self.source is None:
            return None
        if task not in self._annotated:
            self._annotated[task] = read(self.source, task)
        if (found := self._annotated[task]) is None:
            return None
        # By their names, and, of a folder that holds COCO's file beside the one of images, by where they lie in it.
        below = [(path, index) for index, path in enumerate(found.paths) if path.is_relative_to(self.source)]
        place = {path.relative_to(self.source).as_posix(): index for path, index in below}
        place |= {name: index for index, name in enumerate(found.names)}
        if (strange := next((name for name in self.names if name not in place), None)) is not None:
            raise DataError(f"nothing says what {strange} in {self.source} shows: add that, or remove the image")
        chosen = found.some([place[name] for name in self.names])
        return chosen.moved([size and self._preprocessing.geometry(size) for size in chosen.sizes])

    @property
    def skipped(self) -> dict[str, str]:
        """Names of the images that turned out broken so far, and why they cannot be used; complete after one pass."""
        return {self._origin.names[index]: self._broken[index] for index in sorted(self._broken)}

    @property
    def filled(self) -> tuple[str, ...]:
        """Names of the images so far whose fourth channel is made up (``Preprocessing.is_filled``), likewise."""
        return tuple(self._origin.names[index] for index in sorted(self._filled))

    @property
    def digest(self) -> str:
        """SHA-256, hexadecimal, over the content of all chosen images in order, broken ones included.

        Files count with their bytes, arrays with their pixels. Where they lie and what they are called does not matter.
        Free after one pass, else everything is read.
        """
        return hashlib.sha256(b"".join(self._contents())).hexdigest()

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256, hexadecimal, of the content of each chosen image, by name; what holds for ``digest`` holds here."""
        names = [self._origin.names[index] for index in self._chosen]
        return {name: content.hex() for name, content in zip(names, self._contents(), strict=True)}

    @property
    def labels_digest(self) -> str | None:
        """SHA-256, hexadecimal, over the labels of all chosen images in order; None where they are not known."""
        labels = self._origin.labels
        chosen = None if labels is None else " ".join(str(labels[index]) for index in self._chosen)
        return None if chosen is None else hashlib.sha256(chosen.encode()).hexdigest()

    def batches(self, batch_size: int) -> Iterator[PixelBatch]:
        """All images, in order, at most ``batch_size`` at a time (fewer where one is broken).

        Raises:
            DataError: no image can be used, or with ``strict`` one cannot.
        """
        pending = self._usable
        # Threads help: Pillow decodes and resizes without the interpreter's lock.
        with self._origin.reading() as read, ThreadPoolExecutor() as pool:
            for start in range(0, len(pending), batch_size):
                indices = pending[start : start + batch_size]
                contents = [self._read(read, index) for index in indices]
                good: dict[int, NDArray[np.uint8]] = {}
                for index, decoded in zip(indices, pool.map(self._decode, contents), strict=True):
                    if isinstance(decoded, _Broken):
                        self._skip(index, decoded.reason)
                        continue
                    good[index] = decoded.pixels
                    if decoded.is_filled:
                        self._filled.add(index)
                if good:
                    yield self._batch(good)
        if not self._usable:
            name, reason = next(iter(self.skipped.items()))
            raise DataError(f"none of the {len(self._chosen)} images can be used, the first is {name}: {reason}")

    def sample(self, count: int) -> PixelBatch:
        """At most ``count`` of the images, evenly spaced, all at once.

        Raises:
            DataError: none of them can be used, or with ``strict`` one cannot.
        """
        usable = self._usable
        wanted = min(count, len(usable))
        chosen = [usable[(2 * i + 1) * len(usable) // (2 * wanted)] for i in range(wanted)]
        return next(self._some(chosen).batches(wanted))

    def original(self, name: str) -> tuple[Image.Image, Geometry]:
        """An image upright and in RGB, as large as it is, and what the network sees of it.

        Args:
            name: one of ``names``.

        Raises:
            DataError: it cannot be read any more.
        """
        index = self._usable[self.names.index(name)]
        with self._origin.reading() as read:
            content = self._read(read, index)
        if isinstance(content, _Broken):
            raise DataError(f"{name} cannot be read: {content.reason}")
        with self._origin.decode(content) as image:
            upright = self._preprocessing.opened(image).convert("RGB")
        return upright, self._preprocessing.geometry(upright.size)

    def named(self, names: Sequence[str]) -> ImageSource:
        """Those of the images that are called so, in that order."""
        place = dict(zip(self.names, self._usable, strict=True))
        return self._some([place[name] for name in names])

    def split(self, every: int) -> tuple[ImageSource, ImageSource]:
        """All images but one in ``every``, and those, evenly spaced."""
        usable = self._usable
        held_out = usable[every // 2 :: every]
        others = [index for index in usable if index not in set(held_out)]
        return self._some(others), self._some(held_out)

    def _some(self, chosen: Sequence[int]) -> ImageSource:
        """Some of the images, by their indices."""
        return ImageSource(
            self._origin, chosen, self._preprocessing, self.description, strict=self._strict, source=self.source
        )

    def _contents(self) -> list[bytes]:
        """SHA-256 of the content of each chosen image, in order."""
        missing = [index for index in self._chosen if index not in self._hashes]
        if missing:
            with self._origin.reading() as read:
                for index in missing:
                    self._read(read, index)
        return [self._hashes[index] for index in self._chosen]

    @property
    def _usable(self) -> tuple[int, ...]:
        return tuple(index for index in self._chosen if index not in self._broken)

    def _read(self, read: Callable[[int], bytes], index: int) -> bytes | _Broken:
        try:
            content = read(index)
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            self._hashes[index] = hashlib.sha256().digest()
            return _Broken(said(error))
        self._hashes[index] = hashlib.sha256(content).digest()
        return content

    def _decode(self, content: bytes | _Broken) -> _Decoded | _Broken:
        if isinstance(content, _Broken):
            return content
        try:
            with self._origin.decode(content) as image:
                return _Decoded(self._preprocessing.pixels(image), self._preprocessing.is_filled(image))
        except Exception as error:  # noqa: BLE001 - decoders of broken files raise whatever they stumble over
            return _Broken(said(error))

    def _skip(self, index: int, reason: str) -> None:
        if self._strict:
            raise DataError(f"{self._origin.names[index]} cannot be used: {reason}")
        self._broken[index] = reason

    def _batch(self, good: Mapping[int, NDArray[np.uint8]]) -> PixelBatch:
        names, labels = self._origin.names, self._origin.labels
        return PixelBatch(
            np.stack(list(good.values())),
            None if labels is None else tuple(labels[index] for index in good),
            tuple(names[index] for index in good),
        )


def open_images(
    source: str | Path, preprocessing: Preprocessing, *, limit: int | None = None, strict: bool = False
) -> ImageSource:
    """Images from a folder, a pattern, a file, an array or a list.

    =============  ===================================================================================================
    folder         every image in it, however deep, sorted by path; hidden files and folders are left out. Labels: from
                   ``labels.csv`` in it; or else, where all images lie in subfolders and there are two of these or more,
                   the place of the image's subfolder among them, sorted by number where all names are numbers, else by
                   name, as torchvision's ImageFolder has it (no labels where one of the subfolders has no image: the
                   others' places would be a guess). ``edgekit.tasks`` says which classes these are
    pattern        "photos/*.jpg", with ``**`` for any depth, sorted; no labels
    image file     one image; no labels
    .npy, .npz     uint8 [N, H, W, 3], grey [N, H, W] or [N, H, W, 1], or with a fourth channel [N, H, W, 4]; in an .npz
                   it is named ``images``, and ``labels`` [N] may be beside it. Resized and cropped like any other image
    .csv           one image a line: its path, from the list's folder, in a first column named file, path or image, or
                   in the only column, which needs no header. Labels: from a column named class_index, label or class,
                   which holds class indices, or names of classes, whose places are as those of subfolders
    .json, .txt    a list of images with boxes or masks beside them, as ``annotations.reading`` has them, and so are
                   folders that hold a folder of images and another one of what lies beside these
    =============  ===================================================================================================

    Args:
        source: one of these.
        preprocessing: how an image becomes pixels.
        limit: use this many images, evenly spaced over all of them (a folder is sorted by class); None uses all.
        strict: a broken image is an error, instead of being skipped.

    Raises:
        DataError: there is nothing, nothing usable, or something that contradicts itself; the message says what.
        ConfigError: the limit is not positive.
    """
    if limit is not None and limit < 1:
        raise ConfigError(f"a limit of {limit} images leaves none: choose 1 or more, or none at all")
    try:
        origin, place = origin_of(Path(source))
    except OSError as error:
        raise DataError(f"cannot read {error.filename or source}: {error.strerror or error}") from error
    total = len(origin.names)
    wanted = min(limit or total, total)
    chosen = [(2 * i + 1) * total // (2 * wanted) for i in range(wanted)]  # the middles of equal parts
    number = f"{total}" if wanted == total else f"{wanted} of {total}"
    description = f"{number} {'image' if total == 1 else 'images'} {place}"
    there = Path(source) if Path(source).exists() else None
    return ImageSource(origin, chosen, preprocessing, description, strict=strict, source=there)


def held_images(  # noqa: PLR0913 - what is held, and how it is read
    pixels: Sequence[NDArray[np.uint8]] | NDArray[np.uint8],
    description: str,
    preprocessing: Preprocessing | None = None,
    *,
    labels: Sequence[int] | None = None,
    unread: str | None = None,
    strict: bool = False,
) -> ImageSource:
    """Images that are in memory already, each [H, W, C].

    Args:
        pixels: of the images; channels in the usual order.
        description: for people.
        preprocessing: how each becomes pixels that the network sees; None where all of them are that.
        labels: class indices, one an image.
        unread: what stands beside them instead, and what to do.
        strict: as in ``open_images``.
    """
    images = list(pixels)
    if preprocessing is None:
        height, width, channels = images[0].shape
        # Read back as they are: in memory, no order is another than the usual one.
        preprocessing = as_they_are((height, width), channels)
    of_one_shape = len({image.shape for image in images}) == 1
    origin = (_Held if of_one_shape else _HeldOfManySizes)(images, labels, unread)
    return ImageSource(origin, range(len(images)), preprocessing, description, strict=strict)


def as_they_are(size: tuple[int, int], channels: int) -> Preprocessing:
    """What leaves pixels as they are that a network sees already; of its input it says nothing."""
    return Preprocessing(size, None, (0.5,) * channels, (0.5,) * channels, USUAL_ORDER[channels])


class _InMemory:
    """What all images in memory have in common; a content is an array's elements, as in a .npy file."""

    class_names: None = None

    def __init__(self, pixels: Sequence[NDArray[np.uint8]], labels: Sequence[int] | None, unread: str | None) -> None:
        self._pixels, self.labels, self.unread = pixels, labels, unread

    @property
    def names(self) -> Sequence[str]:
        return [f"image {i}" for i in range(len(self._pixels))]

    @contextmanager
    def reading(self) -> Iterator[Callable[[int], bytes]]:
        yield lambda index: np.ascontiguousarray(self._pixels[index]).tobytes()


class _Held(_InMemory):
    """Images in memory, all of one shape [H, W, C]."""

    def decode(self, content: bytes) -> Image.Image:
        height, width, channels = self._pixels[0].shape
        shape = (height, width) if channels == 1 else (height, width, channels)
        return Image.fromarray(np.frombuffer(content, np.uint8).reshape(shape))


class _HeldOfManySizes(_InMemory):
    """Images in memory, each of its own shape: a content is a .npy file."""

    @contextmanager
    def reading(self) -> Iterator[Callable[[int], bytes]]:
        def read(index: int) -> bytes:
            buffer = io.BytesIO()
            np.save(buffer, self._pixels[index], allow_pickle=False)
            return buffer.getvalue()

        yield read

    def decode(self, content: bytes) -> Image.Image:
        pixels = np.load(io.BytesIO(content), allow_pickle=False)
        return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
