"""Images with their targets, one part of a data set: files that are decoded, or one array.

All may be asked for by several threads at once.
"""

from __future__ import annotations

import hashlib
import io
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from PIL import Image, ImageOps

from edgekit.annotations.targets import Targets
from edgekit.image_files import image_of
from edgekit.progress import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

AnyTargets: TypeAlias = Any  # an array whose first axis are the images, or ``Targets``; each task knows its own
HELD_BYTES: Final = 2**30  # of decoded images that are kept in memory, and of pixels made of them
_AT_ONCE: Final = 256  # files between two reports of progress
_ONE_BYTE: Final = ("1", "L", "P")  # Pillow's modes of one byte a pixel in memory; it takes four for all others


class Examples(ABC):
    """Images and targets, in one order.

    Attributes:
        names: of the images: relative to the folder or file that was opened.
        targets: int64 [N], class indices; float32 [N, K], numbers or tags; or boxes or a mask of each.
    """

    __slots__ = ("names", "targets")

    def __init__(self, names: Sequence[str], targets: AnyTargets) -> None:
        assert len(names) == len(targets)
        self.names, self.targets = tuple(names), targets

    def __len__(self) -> int:
        return len(self.names)

    @property
    @abstractmethod
    def digests(self) -> tuple[bytes, ...]:
        """SHA-256 of the content of each image: the bytes of its file, or its pixels."""

    @property
    @abstractmethod
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """(Width, height) of each image, as its header has it; (0, 0) where there is none."""

    @abstractmethod
    def image(self, index: int) -> Image.Image:
        """An image; not to be changed.

        Raises:
            OSError: it cannot be read.
            DataError: it is no image. Decoders of broken files raise whatever they stumble over.
        """

    @abstractmethod
    def file(self, index: int) -> tuple[bytes, str]:
        """What an image file holds, and its suffix: the original file, or PNG where images come as an array."""

    @abstractmethod
    def array(self) -> NDArray[np.uint8] | None:
        """All images, [N, H, W, C], where they are an array; None where each is a file."""

    @abstractmethod
    def some(self, indices: Sequence[int]) -> Examples:
        """Some of the examples, in another order."""

    @abstractmethod
    def labelled(self, targets: AnyTargets) -> Examples:
        """The same images with other targets."""

    def classes(self) -> dict[int, list[int]]:
        """The places of the examples of each class that has any; numbers and tags are one class, 0.

        An image of several things counts for the one that the fewest images show, one of nothing for class -1.
        """
        members: dict[int, list[int]] = defaultdict(list)
        for place, target in enumerate(_classes_of(self.targets)):
            members[target].append(place)
        return dict(sorted(members.items()))

    def spread(self, count: int) -> list[int]:
        """The places of at most so many examples, as many of each class as there are; content decides which."""
        digests = self.digests
        of_each = [sorted(places, key=digests.__getitem__) for places in self.classes().values()]
        in_turn = [place for places in zip_longest(*of_each) for place in places if place is not None]
        return sorted(in_turn[:count])


def picked(targets: AnyTargets, indices: Sequence[int]) -> AnyTargets:
    """Those of some images, in another order."""
    return targets.some(indices) if isinstance(targets, Targets) else targets[list(indices)]


def _classes_of(targets: AnyTargets) -> Sequence[int]:
    """The class that each image counts for."""
    if not isinstance(targets, Targets):
        return targets.tolist() if targets.ndim == 1 else [0] * len(targets)
    images = Counter(index for present in targets.present for index in present)
    return [min(present, key=lambda index: (images[index], index), default=-1) for present in targets.present]


@dataclass(frozen=True, slots=True)
class _Look:
    """What a file shows without decoding it: SHA-256, (width, height), and the bytes that its pixels will take."""

    digest: bytes
    size: tuple[int, int] = (0, 0)
    held_bytes: int = 0


class FileExamples(Examples):
    """Images that are files of their own; decoded once where ``held``, else each time."""

    __slots__ = ("_held", "_images", "_looks", "paths")

    def __init__(
        self,
        names: Sequence[str],
        targets: AnyTargets,
        paths: Sequence[Path],
        looks: Sequence[_Look],
        *,
        held: bool = False,
    ) -> None:
        super().__init__(names, targets)
        self.paths, self._looks, self._held = tuple(paths), tuple(looks), held
        self._images: list[Image.Image | None] = [None] * len(self.names)

    @property
    def digests(self) -> tuple[bytes, ...]:
        """Of files."""
        return tuple(look.digest for look in self._looks)

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """As files have them, before they are turned upright."""
        return tuple(look.size for look in self._looks)

    @property
    def held_bytes(self) -> int:
        """What the pixels of all images take in memory."""
        return sum(look.held_bytes for look in self._looks)

    def held(self) -> FileExamples:
        """The same, with every image kept in memory once it is decoded."""
        return FileExamples(self.names, self.targets, self.paths, self._looks, held=True)

    def image(self, index: int) -> Image.Image:
        """See ``Examples``; the pixels of one that is not kept are decoded when they are asked for."""
        if (image := self._images[index]) is None:
            image = image_of(self.paths[index].read_bytes())
            if self._held:  # of two threads that come here at once, the second decodes the same again
                image = self._images[index] = ImageOps.exif_transpose(image)
        return image

    def file(self, index: int) -> tuple[bytes, str]:
        """The original file."""
        return self.paths[index].read_bytes(), self.paths[index].suffix.lower()

    def array(self) -> None:
        """None: images may be of many sizes."""

    def labelled(self, targets: AnyTargets) -> FileExamples:
        """See ``Examples``; images that are kept in memory are decoded anew."""
        return FileExamples(self.names, targets, self.paths, self._looks, held=self._held)

    def some(self, indices: Sequence[int]) -> FileExamples:
        """See ``Examples``."""
        chosen = list(indices)
        return FileExamples(
            [self.names[i] for i in chosen],
            picked(self.targets, chosen),
            [self.paths[i] for i in chosen],
            [self._looks[i] for i in chosen],
            held=self._held,
        )


class ArrayExamples(Examples):
    """Images in one array, [N, H, W, C] with 1, 3 or 4 channels."""

    __slots__ = ("_digests", "_pixels")

    def __init__(
        self,
        names: Sequence[str],
        targets: AnyTargets,
        pixels: NDArray[np.uint8],
        digests: Sequence[bytes],
    ) -> None:
        super().__init__(names, targets)
        self._pixels, self._digests = pixels, tuple(digests)

    @property
    def digests(self) -> tuple[bytes, ...]:
        """Of pixels."""
        return self._digests

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """All the same."""
        _, height, width, _ = self._pixels.shape
        return ((width, height),) * len(self)

    def image(self, index: int) -> Image.Image:
        """See ``Examples``."""
        pixels = self._pixels[index]
        return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)

    def file(self, index: int) -> tuple[bytes, str]:
        """PNG, which loses nothing."""
        buffer = io.BytesIO()
        self.image(index).save(buffer, "PNG")
        return buffer.getvalue(), ".png"

    def array(self) -> NDArray[np.uint8]:
        """See ``Examples``."""
        return self._pixels

    def labelled(self, targets: AnyTargets) -> ArrayExamples:
        """See ``Examples``."""
        return ArrayExamples(self.names, targets, self._pixels, self._digests)

    def some(self, indices: Sequence[int]) -> ArrayExamples:
        """See ``Examples``."""
        chosen = list(indices)
        names, digests = [self.names[i] for i in chosen], [self._digests[i] for i in chosen]
        return ArrayExamples(names, picked(self.targets, chosen), self._pixels[chosen], digests)


def array_examples(names: Sequence[str], targets: AnyTargets, pixels: NDArray[np.uint8]) -> ArrayExamples:
    """Examples whose images are an array, [N, H, W, C]."""
    pixels = np.ascontiguousarray(pixels)
    return ArrayExamples(names, targets, pixels, [hashlib.sha256(image).digest() for image in pixels])


def file_examples(
    names: Sequence[str], targets: AnyTargets, paths: Sequence[Path], progress: Progress = silent
) -> FileExamples:
    """Examples that are files; each is read once, but not decoded."""
    looks: list[_Look] = []
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(paths), _AT_ONCE):
            progress("reading images", start, len(paths))
            looks += pool.map(_look, paths[start : start + _AT_ONCE])
    progress("reading images", len(paths), len(paths))
    return FileExamples(names, targets, paths, looks)


def _look(path: Path) -> _Look:
    try:
        content = path.read_bytes()
    except OSError:
        content = b""
    look = _Look(hashlib.sha256(content).digest())
    try:
        with image_of(content) as image:
            held = image.width * image.height * (1 if image.mode in _ONE_BYTE else 4)
            return replace(look, size=image.size, held_bytes=held)
    except Exception:  # noqa: BLE001 - decoders of broken files raise whatever they stumble over
        return look  # whoever asks for the image is told
