"""A mask in words: how much of an image each class covers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.annotations.moving import UNKNOWN
from edgekit.tasks.values import Answer
from edgekit.words import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_NAMED: Final = 3  # classes of an answer in a few words
_ALIKE: Final = 0.9  # the share of pixels from which on two masks say the same


@dataclass(frozen=True, slots=True)
class Region:
    """What a class covers.

    Attributes:
        index: of the class.
        label: its name; "class 7" where none is known.
        share: of the pixels that are known, 0..1.
    """

    index: int
    label: str
    share: float


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Regions(Answer):
    """The classes of an image's pixels.

    Attributes:
        covered: every class that is there, the largest first.
        mask: [H, W], uint8, the class of each pixel; 255 where it is not known.
        most: how many classes ``lines`` lists.
    """

    covered: tuple[Region, ...]
    mask: NDArray[np.uint8] = field(repr=False, metadata={"json": False})
    most: int

    @property
    def text(self) -> str:
        """The largest classes, in whole percent."""
        more = ", …" if len(self.covered) > _NAMED else ""
        return ", ".join(f"{one.label} {100 * one.share:.0f} %" for one in self.covered[:_NAMED]) + more or "nothing"

    @property
    def lines(self) -> tuple[str, ...]:
        """Each class with its share."""
        left = len(self.covered) - self.most
        more = (f"and {left} more",) if left > 0 else ()
        return (*(f"{one.label} {percent(one.share)}" for one in self.covered[: self.most]), *more) or ("nothing",)

    def contradicts(self, right: Answer) -> bool:
        """Whether a tenth of the pixels that are known, or more, are of another class."""
        assert isinstance(right, Regions)
        known = right.mask != UNKNOWN
        return bool(known.any()) and float((self.mask == right.mask)[known].mean()) < _ALIKE


def regions(mask: NDArray[np.uint8], names: Sequence[str], most: int) -> Regions:
    """What a mask says, in words; ``names`` are those of the classes."""
    pixels = np.bincount(mask[mask != UNKNOWN], minlength=len(names))
    order = [int(index) for index in np.argsort(-pixels, kind="stable") if pixels[index]]
    total = int(pixels.sum())
    return Regions(tuple(Region(index, names[index], int(pixels[index]) / total) for index in order), mask, most)
