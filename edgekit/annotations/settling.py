"""From boxes as files have them, in pixels, to boxes in shares of their image: what is wrong with them is counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.annotations.boxes import Boxes
from edgekit.errors import DataError
from edgekit.words import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

SLACK: Final = 1.0  # pixels by which a box may reach out of its image: whoever rounded it, or counted from 1
MOST_OUTSIDE: Final = 0.1  # of all boxes; from there on, they are of other images, or mean something else


@dataclass(slots=True)
class Settling:
    """Boxes of one place after the other; what was wrong with them is kept, by the name of the first image."""

    where: str
    seen: int = 0
    empty: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    def boxes(
        self,
        name: str,
        size: tuple[int, int],
        corners: Sequence[Sequence[float]],
        classes: Sequence[int],
        is_crowd: Sequence[bool],
    ) -> Boxes:
        """The boxes of an image in shares of it, cut off at its border, without those that are empty then.

        Args:
            name: of the image.
            size: (width, height), pixels.
            corners: left, top, right and bottom, pixels from 0: a box of one pixel is 1 wide.
            classes: one a box.
            is_crowd: one a box.
        """
        pixels = np.asarray(corners, np.float64).reshape(-1, 4)
        self.seen += len(pixels)
        limit = np.array([*size, *size], np.float64)
        is_empty = (pixels[:, 2:] <= pixels[:, :2]).any(1)
        reaches = ((pixels < -SLACK) | (pixels > limit + SLACK)).any(1) & ~is_empty
        inside = np.clip(pixels, 0, limit)
        stays = np.asarray((inside[:, 2:] > inside[:, :2]).all(1))
        self.empty += [name] * int((~stays & ~reaches).sum())
        self.outside += [name] * int(reaches.sum())
        return Boxes(inside / limit, np.asarray(classes, np.int64), np.asarray(is_crowd, np.bool_)).some(stays)

    def notes(self) -> tuple[str, ...]:
        """What was decided, a sentence each.

        Raises:
            DataError: so many boxes lie outside that they must be meant in another way.
        """
        notes = []
        if self.outside:
            which = f"{_boxes(self.outside)} {self.where} {_do(self.outside, 'reaches', 'reach')} out of the image"
            if len(self.outside) > MOST_OUTSIDE * self.seen:
                raise DataError(
                    f"{which}, which is {percent(len(self.outside) / self.seen)} of all: they belong to images of "
                    f"another size, or are written in another way than their format has it"
                )
            notes.append(f"{which}: what lies outside is cut off.")
        if self.empty:
            notes.append(f"{_boxes(self.empty)} {self.where} {_do(self.empty, 'has', 'have')} no area: left out.")
        return tuple(notes)


def _boxes(names: Sequence[str]) -> str:
    return f"{len(names):,} box{'' if len(names) == 1 else 'es'} (the first in {names[0]})"


def _do(things: Sequence[str], one: str, many: str) -> str:
    return one if len(things) == 1 else many
