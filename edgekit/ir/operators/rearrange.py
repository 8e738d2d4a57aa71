"""Numbers in another order or shape: every reshape and every transpose, and what is made of them."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from edgekit.ir.operators.operator import Factors, Gains, Op, Scales, Shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Step:
    """A reshape, or a transpose.

    Attributes:
        shape: of the result, for one image.
        order: where it is a transpose, the axes of what it reads in the order of the result, the batch not counted.
        joined: the batch is part of the first axis of the result, and no axis of its own.
    """

    shape: tuple[int, ...]
    order: tuple[int, ...] = ()
    joined: bool = False

    def of(self, batch: int) -> tuple[int, ...]:
        """The shape of the result for so many images; -1 for any number of them."""
        if not self.joined:
            return (batch, *self.shape)
        first, *others = self.shape
        return (batch if batch < 0 else batch * first, *others)

    @property
    def permutation(self) -> tuple[int, ...]:
        """``order``, the batch counted if it has an axis of its own."""
        return self.order if self.joined else (0, *(1 + axis for axis in self.order))


@dataclass(frozen=True, slots=True)
class Rearrange(Op):
    """x [N, ...] -> x reshaped to [N, *split], its axes in another order, reshaped to [N, *shape].

    Feature maps are [N, C, H, W] here, whatever the layout of a file. Axes of one element, and axes that stay beside
    one another, are left out of ``split``: two that do the same are equal.

    >>> Rearrange((2, 2, 3, 1, 9), (0, 1, 4, 2, 3), (36, 3))
    Rearrange(split=(4, 3, 9), order=(0, 2, 1), shape=(36, 3))

    Attributes:
        split: what x is reshaped to, for one image.
        order: the axes of ``split``, in the order of the result; counted without the batch, which stays first.
        shape: of the result, for one image.
    """

    roles: ClassVar = ("x",)
    scales: ClassVar = Scales.SHARED
    factors: ClassVar = Factors.EQUAL

    split: tuple[int, ...]
    order: tuple[int, ...]
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        """Merge axes that stay together."""
        assert sorted(self.order) == list(range(len(self.split))), f"{self.order} is no order of {self.split}"
        order = [axis for axis in self.order if self.split[axis] != 1]
        kept = sorted(order)
        blocks: list[list[int]] = []  # axes that stay beside one another, in the order of the result
        for axis in order:
            if blocks and kept.index(axis) == kept.index(blocks[-1][-1]) + 1:
                blocks[-1].append(axis)
            else:
                blocks.append([axis])
        before = sorted(blocks)
        object.__setattr__(self, "split", tuple(math.prod(self.split[axis] for axis in block) for block in before))
        object.__setattr__(self, "order", tuple(before.index(block) for block in blocks))

    @classmethod
    def reshape(cls, shape: Sequence[int]) -> Rearrange:
        """All numbers as they are, in another shape."""
        return cls(tuple(shape), tuple(range(len(shape))), tuple(shape))

    @classmethod
    def transpose(cls, shape: Sequence[int], order: Sequence[int]) -> Rearrange:
        """The axes of ``shape`` in another order, the batch not counted."""
        return cls(tuple(shape), tuple(order), tuple(shape[axis] for axis in order))

    def output_shape(self, *operands: Shape) -> Shape:
        """``shape``."""
        (x,) = operands
        if not math.prod(x) == math.prod(self.split) == math.prod(self.shape):
            raise ValueError(f"rearranges a tensor of the shape {x} as {self.split}, and gives {self.shape}")
        return self.shape

    def gains(self, *_: Shape) -> Gains:
        """Those of x, wherever its channels go."""
        return Gains.EQUAL

    def channels(self, *tensors: Shape) -> tuple[NDArray[np.intp], ...]:
        """A channel of the result holds numbers of one channel of x, or of several."""
        (x,) = tensors
        read = np.broadcast_to(np.arange(x[0]).reshape(-1, *[1] * (len(x) - 1)), x)
        moved = read.reshape(self.split).transpose(self.order).reshape(self.shape[0], -1)
        made = np.broadcast_to(np.arange(self.shape[0])[:, None], moved.shape)
        return (np.unique(np.stack([moved.ravel(), made.ravel()], axis=1), axis=0),)

    def with_channels(self, channels: int) -> Rearrange:
        """A reshape to so many channels, which says no more than how many numbers there are."""
        return Rearrange.reshape((channels, *self.shape[1:]))

    def steps(self, x: Shape, most: int | None = None, *, alone: bool = False) -> tuple[Step, ...]:
        """As few reshapes and transposes as do the same to a tensor of this shape, one at least.

        Args:
            x: what is read, for one image.
            most: the axes that a transpose can have, the batch included; None for any number. Where more are needed,
                the batch is joined with the first axis, if that stays the first.
            alone: there never is more than one image, so that the batch can be joined with any axis.
        """
        few = self._few_steps(x)
        if most is None or all(len(step.order) < most for step in few) or not (alone or self.order[0] == 0):
            return few
        transposed = tuple(self.split[block] for block in self.order)
        return Step(self.split, joined=True), Step(transposed, self.order, joined=True), Step(self.shape)

    def _few_steps(self, x: Shape) -> tuple[Step, ...]:
        if len(self.split) <= 1:
            return (Step(self.shape),)
        if axes := _grouped(x, self.split):
            order = tuple(axis for block in self.order for axis in axes[block])
            transposed = tuple(x[axis] for axis in order)
            return (Step(transposed, order), Step(self.shape))[: 1 + (transposed != self.shape)]
        if axes := _grouped(self.shape, [self.split[block] for block in self.order]):
            before = [axis for block in range(len(self.split)) for axis in axes[self.order.index(block)]]
            order = tuple(before.index(axis) for axis in range(len(self.shape)))
            return Step(tuple(self.shape[axis] for axis in before)), Step(self.shape, order)
        transposed = tuple(self.split[block] for block in self.order)
        return Step(self.split), Step(transposed, self.order), Step(self.shape)

    def moves_nothing(self, x: Shape) -> bool:
        """Whether a tensor of this shape stays as it is."""
        return len(self.split) <= 1 and x == self.shape

    def then(self, other: Rearrange) -> Rearrange | None:
        """This and ``other`` behind it in one; None if the axes of one are not made of parts of the other's."""
        between = [self.split[axis] for axis in self.order]
        ends = sorted({*itertools.accumulate(between, int.__mul__), *itertools.accumulate(other.split, int.__mul__)})
        sizes = []
        for start, end in itertools.pairwise([1, *ends]):
            if end % start:
                return None
            sizes.append(end // start)
        ours, theirs = _parts(between, ends), _parts(other.split, ends)
        before = [part for axis in range(len(self.split)) for part in ours[self.order.index(axis)]]
        behind = [part for axis in other.order for part in theirs[axis]]
        split = tuple(sizes[part] for part in before)
        return Rearrange(split, tuple(before.index(part) for part in behind), other.shape)


def _parts(axes: Sequence[int], ends: Sequence[int]) -> list[list[int]]:
    """Which parts each axis is made of; a part ends where the product of the sizes up to it is in ``ends``."""
    parts, start = [], 0
    for end in itertools.accumulate(axes, int.__mul__):
        stop = ends.index(end) + 1
        parts.append(list(range(start, stop)))
        start = stop
    return parts


def _grouped(axes: Sequence[int], sizes: Sequence[int]) -> list[list[int]]:
    """The numbers of neighbouring axes that have these sizes together; nothing where there are no such."""
    groups: list[list[int]] = [[] for _ in sizes]
    place, size = 0, 1
    for number, axis in enumerate(axes):
        if size == sizes[place] and axis != 1:
            place, size = place + 1, 1
        groups[place].append(number)
        size *= axis
        if sizes[place] % size:
            return []
    return groups if size == sizes[-1] and place == len(sizes) - 1 else []
