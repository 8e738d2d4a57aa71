"""The objects of an image: where they are, and of what class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Boxes:
    """The objects of an image, in no particular order.

    Attributes:
        corners: [n, 4], float64: left, top, right and bottom in shares of the image, from 0 to 1.
        classes: [n], int64, from 0; the background is none of them.
        is_crowd: [n], bool: several objects in one box, or one that is hard to see. What is found there counts neither
            as right nor as wrong, and nothing is learned from it.
    """

    corners: NDArray[np.float64]
    classes: NDArray[np.int64]
    is_crowd: NDArray[np.bool_]

    @classmethod
    def of(cls, corners: Sequence[Sequence[float]], classes: Sequence[int], is_crowd: Sequence[bool] = ()) -> Boxes:
        """From plain lists; nothing is a crowd where ``is_crowd`` is empty."""
        crowd = is_crowd or [False] * len(classes)
        return cls(
            np.asarray(corners, np.float64).reshape(-1, 4),
            np.asarray(classes, np.int64).reshape(-1),
            np.asarray(crowd, np.bool_).reshape(-1),
        )

    def __len__(self) -> int:
        return len(self.classes)

    def some(self, chosen: NDArray[Any]) -> Boxes:
        """Those at some places, or where a mask is true."""
        return Boxes(self.corners[chosen], self.classes[chosen], self.is_crowd[chosen])


def overlap(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> NDArray[np.float64]:
    """The intersection over union of each box with each other, [n, m]; boxes are left, top, right, bottom.

    Two boxes without area overlap by 0.
    """
    both = common(ours, theirs)
    return shares(both, areas(ours)[:, None] + areas(theirs)[None] - both)


def common(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> NDArray[np.float64]:
    """The area that each box has in common with each other, [n, m]."""
    across, down = (
        np.minimum.outer(ours[:, axis + 2], theirs[:, axis + 2]) - np.maximum.outer(ours[:, axis], theirs[:, axis])
        for axis in (0, 1)
    )
    found: NDArray[np.float64] = np.maximum(across, 0) * np.maximum(down, 0)
    return found


def areas(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of boxes, [n]; 0 where right is not right of left, or bottom not below top."""
    found: NDArray[np.float64] = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(-1)
    return found


def shares(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """One over the other; 0 of nothing."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
