"""The prior boxes of a detector: what its box outputs are relative to. No torch in here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgekit.errors import ArtifactError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgekit.models.architecture import Size

Shape = tuple[float, float]  # width and height of a box, in shares of the image

# Scales of the first and the last map: arXiv:1512.02325, equation 4, with torchvision's 0.95 in place of 0.9 as
# ssdlite320_mobilenet_v3_large has it (torchvision/models/detection/ssdlite.py), and its aspect ratios.
LEAST_SCALE: Final = 0.2
LARGEST_SCALE: Final = 0.95
RATIOS: Final = (2.0, 3.0)
COMMON: Final = 2 / 3  # of two boxes of one shape, where their intersection is one half of their union
_ROUNDS: Final = 100  # of k-means, at most; some ten are usual


@dataclass(frozen=True, slots=True)
class Level:
    """The boxes of one feature map.

    Attributes:
        rows: of the map.
        columns: of the map.
        shapes: of the boxes that each place has.
    """

    rows: int
    columns: int
    shapes: tuple[Shape, ...]

    @property
    def count(self) -> int:
        """How many boxes it has in all."""
        return self.rows * self.columns * len(self.shapes)


@dataclass(frozen=True, slots=True)
class Priors:
    """All prior boxes, map by map; in a map row by row, column by column, and box by box at each place.

    Attributes:
        levels: of the feature maps, in the order in which the detector's outputs have them.

    Raises:
        ConfigError: there is no box, or one without area.
    """

    levels: tuple[Level, ...]

    def __post_init__(self) -> None:
        if not self.count:
            raise ConfigError("a detector needs prior boxes: give each feature map one or more")
        for level in self.levels:
            for width, height in level.shapes:
                if not (math.isfinite(width) and math.isfinite(height)) or min(width, height) <= 0:
                    raise ConfigError(f"a prior box is {width:g} x {height:g} of the image, and has no area")

    @property
    def count(self) -> int:
        """How many boxes there are."""
        return sum(level.count for level in self.levels)

    @property
    def boxes(self) -> NDArray[np.float32]:
        """[count, 4]: x and y of the centre, width and height, in shares of the image.

        A centre is in the middle of its place, (column + 0.5) / columns: arXiv:1512.02325, section 2.2.
        """
        return np.concatenate([_boxes(level) for level in self.levels]).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "levels": [
                {"rows": level.rows, "columns": level.columns, "shapes": [list(shape) for shape in level.shapes]}
                for level in self.levels
            ]
        }

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Priors:
        """The inverse of ``to_dict``.

        Raises:
            ArtifactError: a value is missing or none that ``to_dict`` gives.
        """
        try:
            levels = tuple(
                Level(
                    int(level["rows"]),
                    int(level["columns"]),
                    tuple((float(width), float(height)) for width, height in level["shapes"]),
                )
                for level in values["levels"]
            )
            return Priors(levels)
        except (KeyError, TypeError, ValueError, ConfigError) as error:
            raise ArtifactError(f"not saved prior boxes ({error}): save the detector again") from error


def scaled(
    grids: Sequence[Size],
    least: float = LEAST_SCALE,
    largest: float = LARGEST_SCALE,
    ratios: Sequence[float] = RATIOS,
) -> Priors:
    """Boxes whose scales grow evenly from map to map.

    Each place has two squares, of a scale and of its geometric mean with the next one, and for each ratio a wide and a
    tall box. Source: arXiv:1512.02325, section 2.2; the order is that of ``DefaultBoxGenerator`` in
    torchvision/models/detection/anchor_utils.py, which also cuts sides at the image's.

    Args:
        grids: rows and columns of each map, the finest first.
        least: scale of the first map, a share of the image's side.
        largest: scale of the last map.
        ratios: of width over height, above 1.
    """
    steps = max(len(grids) - 1, 1)
    scales = [least + (largest - least) * index / steps for index in range(len(grids))]
    levels = []
    for (rows, columns), scale, behind in zip(grids, scales, [*scales[1:], 1.0], strict=True):
        shapes = [(scale, scale), (math.sqrt(scale * behind),) * 2]
        for ratio in ratios:
            wide, tall = scale * math.sqrt(ratio), scale / math.sqrt(ratio)
            shapes += [(wide, tall), (tall, wide)]
        levels.append(Level(rows, columns, tuple((min(width, 1.0), min(height, 1.0)) for width, height in shapes)))
    return Priors(tuple(levels))


def fitted(sizes: NDArray[np.floating[Any]], grids: Sequence[Size], each: int = 6) -> Priors:
    """Boxes of the shapes that objects have: k-means by 1 - IoU (arXiv:1612.08242, section 2), of equal centres.

    Each object counts for the coarsest map that is fine enough for it: where a box of its own shape overlaps it by one
    half or more, wherever it lies. So rare shapes have boxes of their own, and large objects are not left to maps of a
    few places. A map with fewer than ``each`` different objects has the boxes of ``scaled``. The result follows from
    ``sizes`` alone.

    Args:
        sizes: [n, 2], widths and heights of objects in shares of the image.
        grids: rows and columns of each map, the finest first.
        each: shapes of each map that has objects.

    Raises:
        ConfigError: there is no object.
    """
    if not len(sizes):
        raise ConfigError("no object shows how large boxes are: give images that have some")
    objects = np.asarray(sizes, np.float64)
    fits = np.stack([_least_common(objects, grid) >= COMMON for grid in grids], 1)
    of = len(grids) - 1 - fits[:, ::-1].argmax(1)  # the last map that fits
    of[~fits.any(1)] = 0
    levels = []
    for index, level in enumerate(scaled(grids).levels):
        own = objects[of == index]
        if len(np.unique(own, axis=0)) >= each:
            centres = sorted(((float(width), float(height)) for width, height in _centres(own, each)), key=math.prod)
            level = Level(level.rows, level.columns, tuple(centres))  # noqa: PLW2901 - the other one is not needed
        levels.append(level)
    return Priors(tuple(levels))


def _least_common(sizes: NDArray[np.float64], grid: Size) -> NDArray[np.float64]:
    """[n]: the share of an object that a box of its shape covers at the nearest place, half a place away on each axis.

    Args:
        sizes: [n, 2], widths and heights.
        grid: rows and columns.
    """
    found: NDArray[np.float64] = np.clip(1 - 0.5 / (sizes * grid[::-1]), 0, None).prod(1)
    return found


def _centres(sizes: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """[count, 2]: shapes around which ``sizes`` gather; it starts from objects spread evenly by area."""
    by_area = sizes[np.argsort(sizes.prod(1), kind="stable")]
    centres: NDArray[np.float64] = by_area[np.linspace(0, len(by_area) - 1, count).round().astype(int)]
    members = np.full(len(sizes), -1)
    for _ in range(_ROUNDS):
        nearest = _overlap(sizes, centres).argmax(1)
        if np.array_equal(nearest, members):
            break
        members = nearest
        for index in range(count):
            if (members == index).any():
                centres[index] = sizes[members == index].mean(0)
    return centres


def _overlap(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> NDArray[np.float64]:
    """[n, m]: IoU of boxes with one centre."""
    both = np.minimum(ours[:, None], theirs[None]).prod(-1)
    overlap: NDArray[np.float64] = both / (ours.prod(-1)[:, None] + theirs.prod(-1)[None] - both)
    return overlap


def _boxes(level: Level) -> NDArray[np.float64]:
    rows, columns, shapes = np.arange(level.rows), np.arange(level.columns), np.asarray(level.shapes, np.float64)
    boxes = np.empty((level.rows, level.columns, len(shapes), 4))
    boxes[..., 0] = ((columns + 0.5) / level.columns)[None, :, None]
    boxes[..., 1] = ((rows + 0.5) / level.rows)[:, None, None]
    boxes[..., 2:] = shapes
    return boxes.reshape(-1, 4)
