"""Which part of an image training sees this time: drawn, as geometries that move its boxes or mask along."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from edgekit.annotations.boxes import Boxes, overlap
from edgekit.annotations.moving import parts
from edgekit.geometry import Geometry, Rectangle

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.annotations.moving import Target, Together
    from edgekit.preprocessing import Preprocessing

_TRIES: Final = 10  # to find a rectangle inside of the image
_ROUNDS: Final = 50  # in which an overlap is drawn; where none was met by then, none can be
_WHOLE: Final = 1.0  # stands among overlaps for all that there is


@dataclass(frozen=True, slots=True)
class PadCrop:
    """The image as validation sees it, with a black border, and a crop of its former size from anywhere in that.

    Attributes:
        pixels: width of the border; 4 in the usual recipe for CIFAR-10 (arXiv:1512.03385, section 4.2).
    """

    pixels: int = 4

    def drawn(
        self,
        size: tuple[int, int],
        target: Target | Together | None,  # noqa: ARG002 - all crops are asked alike
        preprocessing: Preprocessing,
        rng: np.random.Generator,
    ) -> tuple[Geometry, ...]:
        """See ``Crop``: what validation sees, and what is seen of that."""
        height, width = preprocessing.size
        left, top = (int(offset) - self.pixels for offset in rng.integers(2 * self.pixels + 1, size=2))
        whole = (width, height)
        window = (left, top, left + width, top + height)
        return preprocessing.geometry(size), Geometry(whole, (0, 0, *whole), whole, window)


@dataclass(frozen=True, slots=True)
class ResizedCrop:
    """A rectangle from anywhere in the image, resized to the network's input whatever its shape.

    Its shape is drawn on a logarithmic scale, its area before it, until both fit into the image; after ten tries it is
    the largest rectangle in the middle whose shape is allowed. Source: arXiv:1409.4842, section 6; RandomResizedCrop
    in torchvision/transforms/transforms.py.

    Attributes:
        area: least and largest share of the image's area.
        aspect: least and largest width over height.
    """

    area: tuple[float, float] = (0.08, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)

    def drawn(
        self,
        size: tuple[int, int],
        target: Target | Together | None,  # noqa: ARG002 - likewise
        preprocessing: Preprocessing,
        rng: np.random.Generator,
    ) -> tuple[Geometry, ...]:
        """See ``Crop``."""
        return (Geometry.of_view(size, self.box(size, rng), preprocessing.size[::-1]),)

    def box(self, size: tuple[int, int], rng: np.random.Generator) -> Rectangle:
        """Left, top, right and bottom of the rectangle in an image of this size, (width, height)."""
        width, height = size
        for _ in range(_TRIES):
            area = width * height * rng.uniform(*self.area)
            aspect = on_logarithmic_scale(self.aspect, rng)
            columns, rows = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < columns <= width and 0 < rows <= height:
                left, top = int(rng.integers(width - columns + 1)), int(rng.integers(height - rows + 1))
                return left, top, left + columns, top + rows
        least, largest = self.aspect
        columns, rows = min(width, round(height * largest)), min(height, round(width / least))
        left, top = (width - columns) // 2, (height - rows) // 2
        return left, top, left + columns, top + rows


@dataclass(frozen=True, slots=True)
class IoUCrop:
    """SSD's: a rectangle that holds the middle of an object and overlaps it enough, resized to the network's input.

    Before that, the image may become a small part of a canvas of the mean colour, which makes objects small. How much
    the rectangle has to overlap one of the boxes whose middle it holds is drawn; then ``trials`` rectangles are, of
    which the first that is good counts; where none is, both are drawn anew. Images without objects are seen whole.

    Source: arXiv:1512.02325, section 2.2, "Data augmentation", and 3.6; RandomIoUCrop and RandomZoomOut in
    torchvision/transforms/v2/_geometry.py, with which distributions agree.

    Attributes:
        zoom_out: probability that there is a canvas.
        largest: its width and height, in those of the image; at least these.
        scale: least and largest share of the width, and of the height.
        aspect: least and largest width over height.
        overlaps: least intersection over union, one of these; 1 sees all that there is.
        trials: rectangles that are drawn for one of them.
    """

    zoom_out: float = 0.5
    largest: float = 4.0
    scale: tuple[float, float] = (0.3, 1.0)
    aspect: tuple[float, float] = (0.5, 2.0)
    overlaps: tuple[float, ...] = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, _WHOLE)
    trials: int = 40

    def drawn(
        self,
        size: tuple[int, int],
        target: Target | Together | None,
        preprocessing: Preprocessing,
        rng: np.random.Generator,
    ) -> tuple[Geometry, ...]:
        """See ``Crop``."""
        width, height = size
        left = top = 0  # of the image on the canvas
        if rng.random() < self.zoom_out:
            factor = rng.uniform(1, self.largest)
            width, height = int(width * factor), int(height * factor)
            left, top = (int(rng.random() * (whole - own)) for whole, own in zip((width, height), size, strict=True))
        objects = [one.corners[~one.is_crowd] for one in parts(target) if isinstance(one, Boxes)]
        corners = np.concatenate([np.zeros((0, 4)), *objects]) * [*size, *size] + [left, top, left, top]
        view = self.view((width, height), corners, rng)
        moved = (view[0] - left, view[1] - top, view[2] - left, view[3] - top)
        return (Geometry.of_view(size, moved, preprocessing.size[::-1]),)

    def view(self, size: tuple[int, int], corners: NDArray[np.float64], rng: np.random.Generator) -> Rectangle:
        """The rectangle, in an image of this size, (width, height), with boxes [n, 4] in pixels."""
        if not len(corners):
            return (0, 0, *size)
        middles = (corners[:, :2] + corners[:, 2:]) / 2
        low, high = self.scale
        for _ in range(_ROUNDS):
            if (least := self.overlaps[rng.integers(len(self.overlaps))]) >= _WHOLE:
                break
            sides = (np.array(size) * rng.uniform(low, high, (self.trials, 2))).astype(np.int64)
            starts = ((size - sides) * rng.random((self.trials, 2))).astype(np.int64)
            ends = starts + sides
            # Of each rectangle and box, whether it holds the middle.
            holds = ((middles > starts[:, None]) & (middles < ends[:, None])).all(2)
            found = overlap(np.concatenate([starts, ends], 1).astype(np.float64), corners)
            shapes = sides[:, 0] / np.maximum(sides[:, 1], 1)
            good = (self.aspect[0] <= shapes) & (shapes <= self.aspect[1]) & (sides > 0).all(1)
            good &= (holds & (found >= least)).any(1)
            if good.any():
                first = int(good.argmax())
                left, top, right, bottom = (int(value) for value in (*starts[first], *ends[first]))
                return left, top, right, bottom
        return (0, 0, *size)


@dataclass(frozen=True, slots=True)
class ScaledCrop:
    """The image as preprocessing resizes it, larger or smaller, and a crop from anywhere in that.

    What lies outside has the mean colour, and is not known in a mask. Source: arXiv:1706.05587, section 4.1, "Data
    augmentation": scales from 0.5 to 2.

    Attributes:
        size: (height, width) of the crop, which the network is trained with, pixels; None is that of its input.
        scale: least and largest, times what preprocessing resizes the image to.
    """

    size: tuple[int, int] | None = None
    scale: tuple[float, float] = (0.5, 2.0)

    def drawn(
        self,
        size: tuple[int, int],
        target: Target | Together | None,  # noqa: ARG002 - likewise
        preprocessing: Preprocessing,
        rng: np.random.Generator,
    ) -> tuple[Geometry, ...]:
        """See ``Crop``."""
        height, width = self.size or preprocessing.size
        scale = rng.uniform(*self.scale)
        resized = preprocessing.geometry(size).resized
        sides = [
            max(round(side * whole / (seen * scale)), 1)
            for side, whole, seen in zip((width, height), size, resized, strict=True)
        ]
        left, top = (_start(whole - side, rng) for whole, side in zip(size, sides, strict=True))
        return (Geometry.of_view(size, (left, top, left + sides[0], top + sides[1]), (width, height)),)


# Each has ``drawn``: what is seen of an image of some size, (width, height), one geometry after the other.
Crop: TypeAlias = PadCrop | ResizedCrop | IoUCrop | ScaledCrop


def _start(room: int, rng: np.random.Generator) -> int:
    """Where a crop begins that is smaller than the image by ``room`` pixels, or larger where that is negative."""
    place = int(rng.integers(abs(room) + 1))
    return place if room >= 0 else -place


def on_logarithmic_scale(bounds: tuple[float, float], rng: np.random.Generator) -> float:
    """A number between two, evenly spread on a logarithmic scale."""
    low, high = map(math.log, bounds)
    return math.exp(rng.uniform(low, high))
