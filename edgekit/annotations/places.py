"""Folders of images with a file beside each: where that lies, and which belong together."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from edgekit.annotations.naming import LISTS
from edgekit.errors import DataError
from edgekit.image_files import walk
from edgekit.words import count

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

IMAGES: Final = ("images", "jpegimages")
_ABOVE: Final = 3  # folders above a list of names in which the folder of images is looked for


@dataclass(frozen=True, slots=True)
class Pairs:
    """Images, and the file that lies beside each.

    Attributes:
        root: the folder that holds the folders of images and files.
        folder: of the files.
        names: of the images: relative to their folder.
        images: their paths.
        others: the files; None of an image that has none.
        all: all files of the folder, also those of images that are not among these.
    """

    root: Path
    folder: Path
    names: tuple[str, ...]
    images: tuple[Path, ...]
    others: tuple[Path | None, ...]
    all: tuple[Path, ...]

    def some(self, indices: Sequence[int]) -> Pairs:
        """Some of the images, in another order."""
        names, images = tuple(self.names[i] for i in indices), tuple(self.images[i] for i in indices)
        return replace(self, names=names, images=images, others=tuple(self.others[i] for i in indices))


def pairs(source: Path, folders: Sequence[str], suffixes: Sequence[str]) -> Pairs | None:
    """The images of a place, with the files of the same names in a folder beside theirs; None where there are none.

    Args:
        source: the folder that holds both folders, a folder of images, or a list of images in a text file, as
            ``ImageSets/Main/train.txt`` of PASCAL VOC.
        folders: names of the folder beside, in lower case.
        suffixes: of the files beside.

    Raises:
        DataError: a file belongs to no image, or a list names what is not there.
        OSError: a folder cannot be read.
    """
    images = _images_of(source)
    if images is None or (beside := _beside(images, folders)) is None:
        return None
    root, folder = beside
    found, _ = walk(images)
    files = {_stem(path, folder): path for path in _files(folder, suffixes)}
    if not found or not files:
        return None
    stems = {_stem(path, images): path for path in found}
    if len(stems) < len(found):
        double = next(path for path in found if stems[_stem(path, images)] != path)
        raise DataError(f"{images} has two images called {double.stem}: rename one, and what belongs to it")
    strange = [path for stem, path in files.items() if stem not in stems]
    if strange and len(strange) == len(files):
        return None
    if strange:
        raise DataError(
            f"{count(len(strange), 'file')} in {folder} belong{'s' * (len(strange) == 1)} to no image in {images}, the "
            f"first is {strange[0].name}: add the image, or remove the file"
        )
    chosen = _listed(source, stems) if source.is_file() else list(stems)
    return Pairs(
        root,
        folder,
        tuple(stems[stem].relative_to(images).as_posix() for stem in chosen),
        tuple(stems[stem] for stem in chosen),
        tuple(files.get(stem) for stem in chosen),
        tuple(files.values()),
    )


def listed_images(source: Path) -> tuple[list[str], list[Path]] | None:
    """Names and paths of the images that a place with two folders, or a list beside them, holds; None of any other.

    Raises:
        DataError: a list names what is not there.
        OSError: a folder cannot be read.
    """
    images = _images_of(source)
    if images is None or images == source:
        return None
    found, _ = walk(images)
    stems = {_stem(path, images): path for path in found}
    chosen = _listed(source, stems) if source.is_file() else list(stems)
    return [stems[stem].relative_to(images).as_posix() for stem in chosen], [stems[stem] for stem in chosen]


def _images_of(source: Path) -> Path | None:
    """The folder of images that a place means."""
    if source.is_file():
        within = (_child(folder, IMAGES) for folder in list(source.absolute().parents)[:_ABOVE])
        return next((images for images in within if images is not None), None)
    if (images := _child(source, IMAGES)) is not None:
        return images
    return None if {part.lower() for part in source.absolute().parts[-2:]}.isdisjoint(IMAGES) else source


def _child(folder: Path, names: Sequence[str]) -> Path | None:
    """The folder that is called by the first of some names, in capitals or not."""
    there = {path.name.lower(): path for path in sorted(folder.iterdir(), reverse=True) if path.is_dir()}
    return next((there[name] for name in names if name in there), None)


def _beside(images: Path, folders: Sequence[str]) -> tuple[Path, Path] | None:
    """The folder that has both, and the one of files: of ``images/train``, ``labels/train``."""
    whole = images.absolute()
    for above in (whole, *whole.parents):
        if above.name.lower() in IMAGES:
            if (folder := _child(above.parent, folders)) is None:
                return None
            below = folder / whole.relative_to(above)
            return above.parent, below if below.is_dir() else folder
    return None


def _files(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in suffixes and not path.name.startswith(".") and path.name not in LISTS
    )


def _stem(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()


def _listed(source: Path, stems: dict[str, Path]) -> list[str]:
    """The images that a list names: by path or by name, with a suffix or without."""
    by_name: dict[str, set[str]] = defaultdict(set)
    for stem, path in stems.items():
        by_name[stem.rsplit("/", 1)[-1]].add(stem)
        by_name[path.name].add(stem)
    known = {stem: stem for stem in stems} | {f"{stem}{path.suffix}": stem for stem, path in stems.items()}
    chosen: list[str] = []
    for number, line in enumerate(source.read_text("utf-8-sig").splitlines(), 1):
        parts = line.strip().split("/")
        if parts == [""]:
            continue
        whole = (known.get("/".join(parts[start:])) for start in range(len(parts)))
        found = next(({stem} for stem in whole if stem is not None), by_name[parts[-1]])
        if len(found) != 1:
            why = "no image is called so" if not found else f"{len(found)} images are called so"
            raise DataError(f"{source}, line {number}: {line.strip()!r} is listed, and {why}")
        chosen += found
    if not chosen:
        raise DataError(f"{source} lists no image")
    if len(set(chosen)) < len(chosen):
        double = next(stem for stem in chosen if chosen.count(stem) > 1)
        raise DataError(f"{source} lists {double} twice: keep one line for it")
    return chosen
