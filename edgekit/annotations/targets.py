"""The targets of many images, in one order: boxes, or masks."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, overload

import numpy as np

from edgekit.annotations.boxes import Boxes
from edgekit.annotations.moving import UNKNOWN, Mask, Target, moved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from edgekit.geometry import Geometry

T = TypeVar("T")

HELD_BYTES: Final = 2**28  # of masks that are kept in memory


class Targets(Sequence[T]):
    """One target an image."""

    __slots__ = ()

    @abstractmethod
    def one(self, index: int) -> T:
        """That of one image."""

    @abstractmethod
    def some(self, indices: Sequence[int]) -> Self:
        """Those of some images, in another order."""

    def gathered(self, seen: Sequence[T], indices: Sequence[int]) -> Any:  # noqa: ANN401, ARG002 - each task has its own
        """Those of a batch, one an image.

        Args:
            seen: what became of those of the images at ``indices``.
            indices: places of the images.
        """
        return tuple(seen)

    @property
    @abstractmethod
    def present(self) -> tuple[frozenset[int], ...]:
        """The classes that each image has something of."""

    @property
    @abstractmethod
    def digest(self) -> bytes:
        """SHA-256 over all that is said, in order."""

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> Self: ...

    def __getitem__(self, index: int | slice) -> T | Self:
        if isinstance(index, slice):
            return self.some(range(len(self))[index])
        return self.one(range(len(self))[index])


class Places(Targets[T]):
    """What an image shows, and where: its targets are moved along with it."""

    __slots__ = ()

    @abstractmethod
    def renamed(self, places: NDArray[np.int64]) -> Self:
        """The same with another index of each class: that of class i is ``places[i]``."""

    @abstractmethod
    def moved(self, geometries: Sequence[Geometry | None]) -> Self:
        """The same as they are seen; one geometry an image, and None leaves its target as it is."""


class BoxTargets(Places[Boxes]):
    """Boxes of each image."""

    __slots__ = ("_boxes",)

    def __init__(self, boxes: Iterable[Boxes]) -> None:
        self._boxes = tuple(boxes)

    def __len__(self) -> int:
        return len(self._boxes)

    def one(self, index: int) -> Boxes:
        """See ``Targets``."""
        return self._boxes[index]

    def some(self, indices: Sequence[int]) -> BoxTargets:
        """See ``Targets``."""
        return BoxTargets(self._boxes[i] for i in indices)

    def renamed(self, places: NDArray[np.int64]) -> BoxTargets:
        """See ``Places``."""
        return BoxTargets(Boxes(boxes.corners, places[boxes.classes], boxes.is_crowd) for boxes in self._boxes)

    def moved(self, geometries: Sequence[Geometry | None]) -> BoxTargets:
        """See ``Targets``."""
        return BoxTargets(_moved(boxes, geometry) for boxes, geometry in zip(self._boxes, geometries, strict=True))

    @property
    def present(self) -> tuple[frozenset[int], ...]:
        """See ``Targets``; a crowd counts as none."""
        return tuple(frozenset(map(int, boxes.classes[~boxes.is_crowd])) for boxes in self._boxes)

    @property
    def digest(self) -> bytes:
        """See ``Targets``."""
        digest = hashlib.sha256()
        for boxes in self._boxes:
            digest.update(b"%d " % len(boxes))
            for values in (boxes.corners, boxes.classes, boxes.is_crowd):
                digest.update(np.ascontiguousarray(values).tobytes())
        return digest.digest()


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class OneMask:
    """A mask that was read once.

    Attributes:
        read: reads it again.
        present: the classes that it has pixels of.
        digest: SHA-256 of its shape and pixels.
        held: it itself, where it is kept in memory.
    """

    read: Callable[[], Mask]
    present: frozenset[int]
    digest: bytes
    held: Mask | None


class MaskTargets(Places[Mask]):
    """A mask of each image."""

    __slots__ = ("_masks",)

    def __init__(self, masks: Iterable[OneMask]) -> None:
        self._masks = tuple(masks)

    @classmethod
    def of(cls, reading: Sequence[Callable[[], Mask]]) -> MaskTargets:
        """Masks by what reads them: kept in memory as far as there is room, others are read each time."""
        room = HELD_BYTES
        masks: list[OneMask] = []
        with ThreadPoolExecutor() as pool:
            for mask in pool.map(_looked_at, reading):
                assert mask.held is not None, "it was read just now"
                room -= mask.held.nbytes
                masks.append(mask if room >= 0 else replace(mask, held=None))
        return cls(masks)

    def __len__(self) -> int:
        return len(self._masks)

    def one(self, index: int) -> Mask:
        """See ``Targets``."""
        mask = self._masks[index]
        return mask.read() if mask.held is None else mask.held

    def some(self, indices: Sequence[int]) -> MaskTargets:
        """See ``Targets``."""
        return MaskTargets(self._masks[i] for i in indices)

    def renamed(self, places: NDArray[np.int64]) -> MaskTargets:
        """See ``Targets``."""
        table = np.full(256, UNKNOWN, np.uint8)
        table[: len(places)] = places
        return MaskTargets.of([partial(_renamed, mask.read, table) for mask in self._masks])

    def moved(self, geometries: Sequence[Geometry | None]) -> MaskTargets:
        """See ``Targets``."""
        return MaskTargets.of([partial(self._seen, i, geometry) for i, geometry in enumerate(geometries)])

    def _seen(self, index: int, geometry: Geometry | None) -> Mask:
        return _moved(self.one(index), geometry)

    @property
    def present(self) -> tuple[frozenset[int], ...]:
        """See ``Targets``."""
        return tuple(mask.present for mask in self._masks)

    @property
    def digest(self) -> bytes:
        """See ``Targets``."""
        return hashlib.sha256(b"".join(mask.digest for mask in self._masks)).digest()


def _looked_at(read: Callable[[], Mask]) -> OneMask:
    mask = read()
    present = frozenset(map(int, np.flatnonzero(np.bincount(mask.ravel())))) - {UNKNOWN}
    return OneMask(read, present, hashlib.sha256(b"%d %d " % mask.shape + mask.tobytes()).digest(), mask)


@overload
def _moved(target: Boxes, geometry: Geometry | None) -> Boxes: ...


@overload
def _moved(target: Mask, geometry: Geometry | None) -> Mask: ...


def _moved(target: Target, geometry: Geometry | None) -> Target:
    return target if geometry is None else moved(target, geometry)


def _renamed(read: Callable[[], Mask], table: Mask) -> Mask:
    renamed: Mask = table[read()]
    return renamed
