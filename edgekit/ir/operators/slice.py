"""Parts of axes: channels, rows of boxes, crops, every second pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from edgekit.ir.operators.operator import Factors, Gains, Op, Scales, Shape

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Part:
    """Part of an axis.

    Attributes:
        start: the first place that is taken.
        count: how many are taken.
        step: from one to the next.
    """

    start: int
    count: int
    step: int = 1

    @classmethod
    def of(cls, places: slice, size: int) -> Part:
        """What a slice of Python's takes of an axis of ``size``; it has to go forward."""
        taken = range(*places.indices(size))
        return cls(taken.start, len(taken), taken.step)

    @property
    def stop(self) -> int:
        """The place behind the last one that is taken."""
        return self.start + self.step * (self.count - 1) + 1

    @property
    def places(self) -> slice:
        """As Python indexes arrays."""
        return slice(self.start, self.stop, self.step)


@dataclass(frozen=True, slots=True)
class Slice(Op):
    """x [N, ...] -> a part of each axis but the batch: of an image's channels, rows and columns.

    Attributes:
        parts: one an axis, the batch not counted.
    """

    roles: ClassVar = ("x",)
    scales: ClassVar = Scales.SHARED
    factors: ClassVar = Factors.EQUAL

    parts: tuple[Part, ...]

    @classmethod
    def along(cls, shape: Shape, axis: int, part: Part) -> Slice:
        """``part`` of one axis of ``shape``, the batch not counted, and all of the others."""
        return cls(tuple(part if place == axis else Part(0, size) for place, size in enumerate(shape)))

    def output_shape(self, *operands: Shape) -> Shape:
        """How many are taken of each axis."""
        (x,) = operands
        fits = len(x) == len(self.parts) and all(
            part.count > 0 < part.step and part.start >= 0 and part.stop <= size
            for part, size in zip(self.parts, x, strict=False)
        )
        if not fits:
            raise ValueError(f"takes {[part.places for part in self.parts]} of a tensor of the shape {x}")
        return tuple(part.count for part in self.parts)

    def gains(self, *_: Shape) -> Gains:
        """Those of the channels that are taken."""
        return Gains.EQUAL

    def channels(self, *_: Shape) -> tuple[NDArray[np.intp], ...]:
        """Those that are taken become the first, the second, ...."""
        first = self.parts[0]
        made = np.arange(first.count)
        return (np.stack([first.start + first.step * made, made], axis=1),)

    def with_channels(self, channels: int) -> Slice:
        """The same of the other axes, and all channels."""
        return Slice((Part(0, channels), *self.parts[1:]))

    def then(self, other: Slice) -> Slice:
        """This and ``other`` behind it in one."""
        pairs = zip(self.parts, other.parts, strict=True)
        return Slice(tuple(Part(a.start + a.step * b.start, b.count, a.step * b.step) for a, b in pairs))

    @property
    def indices(self) -> tuple[slice, ...]:
        """As arrays are indexed, the batch included."""
        return (slice(None), *(part.places for part in self.parts))

    def moves_nothing(self, x: Shape) -> bool:
        """Whether everything of a tensor of this shape is taken."""
        return self.parts == tuple(Part(0, size) for size in x)
