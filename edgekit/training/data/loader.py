"""Batches of pixels, made by threads ahead of the training that takes them.

What an image becomes depends on the seed, the epoch and its index alone: not on threads, nor on what came before. So
training that goes on in the middle of an epoch sees the same bytes as training that was never interrupted.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.annotations.moving import moved
from edgekit.annotations.targets import Targets
from edgekit.errors import DataError
from edgekit.image_files import said, upright_size
from edgekit.training.data.augmentation import Augmentation, seen_in_training, shifted
from edgekit.training.data.crops import PadCrop
from edgekit.training.data.examples import HELD_BYTES, AnyTargets

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from concurrent.futures import Future

    from numpy.typing import NDArray

    from edgekit.annotations.moving import Target, Together
    from edgekit.preprocessing import Preprocessing
    from edgekit.training.data.examples import Examples

AHEAD: Final = 3  # batches that are made before they are asked for
_MOST_THREADS: Final = 16  # what one interpreter keeps busy: of each image, some is done under its lock
_PIECES: Final = 4  # of a batch, for each thread
# What random numbers are for; with the seed, the epoch and perhaps an index they choose the stream.
_ORDER, _IMAGE, _SHIFT = 0, 1, 2


def threads() -> int:
    """As many as there are processors that this process may use, within reason."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(there, _MOST_THREADS)


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Batch:
    """Some images, as the network sees them.

    Attributes:
        pixels: uint8, [N, H, W, C].
        targets: of these images: int64 [N] or float32 [N, K]; or what ``Targets.gathered``
            makes of boxes and masks as these are seen.
        indices: int64 [N], their places among the examples.
    """

    pixels: NDArray[np.uint8]
    targets: AnyTargets
    indices: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Loader:
    """Batches of examples, epoch by epoch.

    Attributes:
        examples: what is read.
        batch_size: images a batch.
        preprocessing: what the network sees of an image.
        augmentation: how training differs from that; None shows each image as it is used later.
        seed: of everything that is drawn, 0 or more.
        shuffle: whether each epoch has an order of its own.
        drop_last: whether a last batch with fewer images is left out; never the only one.
        workers: threads.

    Without augmentation, pixels are kept from one epoch to the next where those of all examples fit into memory.
    """

    examples: Examples
    batch_size: int
    preprocessing: Preprocessing
    augmentation: Augmentation | None = None
    seed: int = 0
    shuffle: bool = True
    drop_last: bool = False
    workers: int = field(default_factory=threads)
    _kept: dict[int, _Seen] = field(default_factory=dict, init=False, repr=False)

    def __len__(self) -> int:
        """Batches an epoch."""
        whole, rest = divmod(len(self.examples), self.batch_size)
        return whole + (rest > 0 and not (self.drop_last and whole))

    def epoch(self, number: int, start: int = 0) -> Generator[Batch]:
        """The batches of an epoch from ``start`` on, which is a number of batches.

        Raises:
            DataError: an image cannot be read or decoded; the message names it.
        """
        order = np.arange(len(self.examples))
        if self.shuffle:
            order = np.random.default_rng([self.seed, _ORDER, number]).permutation(order)
        shift = self._shift(number)
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="edgekit-images")
        making: deque[_Making] = deque()
        try:
            for batch in range(start, len(self)):
                indices = order[batch * self.batch_size : (batch + 1) * self.batch_size]
                making.append(self._begun(pool, number, indices, shift))
                if len(making) > AHEAD:
                    yield self._finished(making.popleft())
            while making:
                yield self._finished(making.popleft())
        finally:  # also where whoever takes the batches has had enough, or was interrupted
            pool.shutdown(cancel_futures=True)

    def _shift(self, number: int) -> _Shift | None:
        """What an epoch does to whole batches; None where images have to be changed one by one."""
        array, augmentation = self.examples.array(), self.augmentation or Augmentation(flip=0)
        if array is None or not augmentation.moves_only or isinstance(self.examples.targets, Targets):
            return None
        count, height, width, channels = array.shape
        if channels != self.preprocessing.shape[2] or not self.preprocessing.leaves((width, height)):
            return None
        border = augmentation.crop.pixels if isinstance(augmentation.crop, PadCrop) else 0
        rng = np.random.default_rng([self.seed, _SHIFT, number])
        offsets, flips = rng.integers(2 * border + 1, size=(count, 2)), np.less(rng.random(count), augmentation.flip)
        return _Shift(array, border, offsets, flips)

    def _begun(
        self, pool: ThreadPoolExecutor, number: int, indices: NDArray[np.int64], shift: _Shift | None
    ) -> _Making:
        size = self.preprocessing.size if self.augmentation is None else self.augmentation.size(self.preprocessing)
        making = _Making(indices, np.empty((len(indices), *size, self.preprocessing.shape[2]), np.uint8))
        if shift is not None:
            making.work.append(pool.submit(self._fill_at_once, making.pixels, indices, shift))
            return making
        step = -(-len(indices) // (self.workers * _PIECES))
        for first in range(0, len(indices), step):
            places = range(first, min(first + step, len(indices)))
            making.work.append(pool.submit(self._fill_one_by_one, making, places, number))
        return making

    def _finished(self, making: _Making) -> Batch:
        wait(
            making.work, return_when=FIRST_EXCEPTION
        )  # wakes up once, where each result would take the lock for itself
        for future in making.work:
            future.result()
        targets = self.examples.targets
        if isinstance(targets, Targets):
            seen = [making.moved[place] for place in range(len(making.indices))]
            return Batch(making.pixels, targets.gathered(seen, making.indices.tolist()), making.indices)
        return Batch(making.pixels, targets[making.indices], making.indices)

    def _fill_at_once(self, pixels: NDArray[np.uint8], indices: NDArray[np.int64], shift: _Shift) -> None:
        found = shifted(shift.array[indices], shift.border, shift.offsets[indices], shift.flips[indices])
        pixels[...] = self.preprocessing.in_order(found)

    def _fill_one_by_one(self, making: _Making, places: Sequence[int], number: int) -> None:
        for place in places:
            index = int(making.indices[place])
            try:
                seen = self._plain(index) if self.augmentation is None else self._augmented(index, number)
            except Exception as error:  # decoders of broken files raise whatever they stumble over
                raise DataError(f"{self.examples.names[index]} cannot be used: {said(error)}") from error
            making.pixels[place] = seen.pixels
            if seen.target is not None:
                making.moved[place] = seen.target

    def _plain(self, index: int) -> _Seen:
        if (found := self._kept.get(index)) is None:
            image, target = self.examples.image(index), self._target(index)
            geometry = None if target is None else self.preprocessing.geometry(upright_size(image))
            pixels = self.preprocessing.pixels(image)
            found = _Seen(pixels, None if target is None or geometry is None else moved(target, geometry))
            if pixels.nbytes * len(self.examples) <= HELD_BYTES:
                self._kept[index] = found
        return found

    def _augmented(self, index: int, number: int) -> _Seen:
        assert self.augmentation is not None, "who asks knows"
        rng = np.random.default_rng([self.seed, _IMAGE, number, index])
        image, target = self.examples.image(index), self._target(index)
        return _Seen(*seen_in_training(image, target, self.preprocessing, self.augmentation, rng))

    def _target(self, index: int) -> Target | Together | None:
        """What has to be moved with an image."""
        targets = self.examples.targets
        return targets[index] if isinstance(targets, Targets) else None


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """An image [H, W, C], and its boxes or mask."""

    pixels: NDArray[np.uint8]
    target: Target | Together | None


@dataclass(frozen=True, slots=True, eq=False)
class _Shift:
    """What an epoch does to each of the images, [N, H, W, C], that are an array: see ``shifted``."""

    array: NDArray[np.uint8]
    border: int
    offsets: NDArray[np.int64]
    flips: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class _Making:
    """A batch whose pixels, and boxes or masks by their places, are being filled in."""

    indices: NDArray[np.int64]
    pixels: NDArray[np.uint8]
    moved: dict[int, Target | Together] = field(default_factory=dict)
    work: list[Future[None]] = field(default_factory=list)
