"""The images of a place, and what lies beside them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from PIL import Image

from edgekit.image_files import FORMATS, upright_size

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgekit.annotations.targets import Places
    from edgekit.geometry import Geometry

_PIECE: Final = 64  # images that a thread takes at a time


@dataclass(frozen=True, slots=True, eq=False)  # targets have no single truth value
class Annotated:
    """Images and their targets, in one order.

    Attributes:
        names: of the images: relative to the folder of images.
        paths: of their files.
        sizes: (width, height) of the upright images; None of what is no image.
        targets: one an image: ``Boxes`` in shares of the upright image, or a mask of its size.
        labels: names of classes, in the order of their indices.
        notes: what was decided on the way, a sentence each, for people.
    """

    names: tuple[str, ...]
    paths: tuple[Path, ...]
    sizes: tuple[tuple[int, int] | None, ...]
    targets: Places[Any]
    labels: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def some(self, indices: Sequence[int]) -> Annotated:
        """Some of the images, in another order."""
        return replace(
            self,
            names=tuple(self.names[i] for i in indices),
            paths=tuple(self.paths[i] for i in indices),
            sizes=tuple(self.sizes[i] for i in indices),
            targets=self.targets.some(indices),
        )

    def moved(self, geometries: Sequence[Geometry | None]) -> Annotated:
        """The same with targets as they are seen, where that is known; one geometry an image."""
        seen = tuple(None if geometry is None else geometry.size for geometry in geometries)
        return replace(self, sizes=seen, targets=self.targets.moved(geometries))


def sizes(paths: Sequence[Path]) -> tuple[tuple[int, int] | None, ...]:
    """(Width, height) of upright images, as their headers have it; None of what is no image."""
    pieces = [paths[start : start + _PIECE] for start in range(0, len(paths), _PIECE)]
    with ThreadPoolExecutor() as pool:
        return tuple(size for of_piece in pool.map(_sizes, pieces) for size in of_piece)


def _sizes(paths: Sequence[Path]) -> list[tuple[int, int] | None]:
    return [_size(path) for path in paths]


def _size(path: Path) -> tuple[int, int] | None:
    try:
        with Image.open(path, formats=FORMATS) as image:
            return upright_size(image)
    except Exception:  # noqa: BLE001 - decoders of broken files raise whatever they stumble over
        return None  # whoever asks for the image is told
