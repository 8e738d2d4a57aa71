"""Which part of an image a network sees, as a value: pixels, boxes and masks are moved by the same."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

Rectangle: TypeAlias = tuple[int, int, int, int]  # left, top, right and bottom, pixels


@dataclass(frozen=True, slots=True)
class Geometry:
    """A rectangle is cut out of an image, resized, and seen through a window, perhaps in a mirror.

    Attributes:
        source: (width, height) of the upright image, pixels.
        cut: what is cut out of it; all of it lies inside.
        resized: (width, height) that the cut is resized to.
        window: what is seen of that; where it reaches beyond, there is nothing.
        flip: whether left and right are exchanged in the end.
    """

    source: tuple[int, int]
    cut: Rectangle
    resized: tuple[int, int]
    window: Rectangle
    flip: bool = False

    @classmethod
    def of_view(cls, source: tuple[int, int], view: Rectangle, size: tuple[int, int]) -> Geometry:
        """A rectangle of an image, of which some may lie outside of it, resized to ``size``, (width, height).

        What lies inside is resized by itself, to whole pixels, so that nothing of what lies outside has to be made.
        """
        left, top, right, bottom = view
        cut = (max(left, 0), max(top, 0), min(right, source[0]), min(bottom, source[1]))
        across, down = size[0] / (right - left), size[1] / (bottom - top)
        resized = (max(round((cut[2] - cut[0]) * across), 1), max(round((cut[3] - cut[1]) * down), 1))
        start = (-round((cut[0] - left) * across), -round((cut[1] - top) * down))
        return cls(source, cut, resized, (*start, start[0] + size[0], start[1] + size[1]))

    @property
    def size(self) -> tuple[int, int]:
        """(Width, height) of what is seen, pixels."""
        left, top, right, bottom = self.window
        return right - left, bottom - top

    def flipped(self) -> Geometry:
        """The same in a mirror."""
        return replace(self, flip=not self.flip)

    def corners(self, corners: NDArray[np.float64]) -> NDArray[np.float64]:
        """Boxes [n, 4], left, top, right and bottom in shares of the image, in shares of what is seen.

        What lies outside stays outside: below 0, or above 1.
        """
        axes = []
        for axis in (0, 1):
            low, high, start, end = self.cut[axis], self.cut[axis + 2], self.window[axis], self.window[axis + 2]
            pixels = corners[:, axis::2] * self.source[axis] - low
            axes.append((pixels * (self.resized[axis] / (high - low)) - start) / (end - start))
        found = np.stack([axes[0][:, 0], axes[1][:, 0], axes[0][:, 1], axes[1][:, 1]], 1)
        if self.flip:
            found[:, 0::2] = 1 - found[:, 2::-2]
        return found

    @property
    def seen(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of what is seen, in shares of the image; some of it may lie outside."""
        sides = []
        for axis in (0, 1):
            low, high, resized = self.cut[axis], self.cut[axis + 2], self.resized[axis]
            sides.append([(low + side * (high - low) / resized) / self.source[axis] for side in self.window[axis::2]])
        (left, right), (top, bottom) = sides
        return left, top, right, bottom

    def nearest(self, image: NDArray[np.uint8], outside: int) -> NDArray[np.uint8]:
        """What is seen of an image [H, W] whose pixels are not to be mixed; ``outside`` where there is nothing.

        A pixel of the result is the one that its middle falls into. Pillow says which that is, because it moves the
        image: it adds up float64 steps, so a middle on the edge of two pixels may fall to either side.
        """
        (rows, is_row), (columns, is_column) = self._read(1), self._read(0)
        if self.flip:
            columns, is_column = columns[::-1], is_column[::-1]
        found: NDArray[np.uint8] = image[rows[:, None], columns]
        if not (is_row.all() and is_column.all()):
            found[~(is_row[:, None] & is_column)] = outside
        return found

    def _read(self, axis: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Of each row or column that is seen, the one of the image that is nearest, and whether there is any."""
        low, high = self.cut[axis], self.cut[axis + 2]
        places = np.arange(self.window[axis], self.window[axis + 2])
        is_inside = (places >= 0) & (places < self.resized[axis])
        numbers = Image.fromarray(np.arange(low, high, dtype=np.int32)[None])
        read = np.asarray(numbers.resize((self.resized[axis], 1), Image.Resampling.NEAREST), np.int64)[0]
        return read[np.clip(places, 0, self.resized[axis] - 1)], is_inside
