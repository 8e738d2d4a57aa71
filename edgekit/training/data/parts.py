"""Which places of a data set are trained with, choose, and judge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edgekit.annotations.reading import SEGMENTATION, TASKS
from edgekit.calibration.origins import subfolders
from edgekit.models.head_tasks import SEVERAL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

TRAIN: Final = "train"
VALIDATION: Final = ("val", "validation", "valid")
TEST: Final = "test"
_LISTS: Final = (".npz", ".csv")  # files that can be a part by themselves


@dataclass(frozen=True, slots=True)
class Parts:
    """Where images lie that are learned from, that choose, and that judge; None where there are none."""

    train: Path
    validation: Path | None
    test: Path | None


def parts_of(path: Path, task: str) -> Parts:
    """What lies at a path, and beside it: see ``opening``.

    Args:
        path: of a data set.
        task: what its images are labelled for, by name.
    """
    return _of_annotated(path, task) if task in {SEVERAL, *TASKS} else _of_listed(path)


def reads(path: Path, task: str, place: Path, validation: Path | None = None) -> bool:
    """Whether what lies at a place is taken for a part of the data set at ``path``.

    Args:
        path: see ``opening.open_data``.
        task: likewise.
        place: anywhere.
        validation: see ``opening.open_data``.
    """
    parts = parts_of(path, task)
    folders = [part for part in (parts.train, validation or parts.validation) if part is not None and part.is_dir()]
    return any(place.resolve().is_relative_to(folder.resolve()) for folder in folders)


def _of_annotated(path: Path, task: str) -> Parts:
    """Of images with boxes or masks beside them, where files and folders differ in one word alone, train and val."""
    train = path if path.is_file() else next((place for place in _training(path, task) if place.exists()), path)
    root = path if path.is_dir() else path.parent if TRAIN in path.name else path.parent.parent
    name = train.relative_to(root).as_posix() if train != root else ""
    if TRAIN not in name:
        return Parts(path, None, None)

    def beside(word: str) -> Path | None:
        place = root / name.replace(TRAIN, word)
        return place if place.exists() else None

    choosing = (place for word in VALIDATION if (place := beside(word)) is not None)
    return Parts(train, next(choosing, None), beside(TEST))


def _training(folder: Path, task: str) -> Iterator[Path]:
    """Where the training part of a folder may be."""
    if task != SEGMENTATION:
        yield folder / f"{TRAIN}.json"
        yield from sorted((folder / "annotations").glob(f"*{TRAIN}*.json"))
    kind = "Segmentation" if task == SEGMENTATION else "Main"  # of PASCAL VOC
    for part in (f"ImageSets/{kind}/{TRAIN}.txt", f"images/{TRAIN}", f"{TRAIN}.txt", TRAIN):
        yield folder / part


def _of_listed(path: Path) -> Parts:
    """Of images in class folders, and of lists and arrays."""
    if path.is_dir():
        train = _beside(path, TRAIN, ("", *_LISTS))
        if train is None or (train.is_dir() and not _are_of_listed(path)):
            return Parts(path, None, None)
        return _with_others(path, train, ("", *_LISTS))
    if path.stem.lower() == TRAIN:
        return _with_others(path.parent, path, (path.suffix,))
    return Parts(path, None, None)


def _with_others(folder: Path, train: Path, suffixes: Sequence[str]) -> Parts:
    choosing = (found for name in VALIDATION if (found := _beside(folder, name, suffixes)) is not None)
    return Parts(train, next(choosing, None), _beside(folder, TEST, suffixes))


def _beside(folder: Path, name: str, suffixes: Sequence[str]) -> Path | None:
    """What is called so in a folder: a folder, or a file with one of the suffixes."""
    paths = (folder / f"{name}{suffix}" for suffix in suffixes)
    return next((path for path in paths if path.is_dir() == (not path.suffix) and path.exists()), None)


def _are_of_listed(folder: Path) -> bool:
    """Whether a subfolder "train" is a part and not a class, as it is among cars and buses."""
    others = set(subfolders(folder)) - {TRAIN}
    return not others or not others.isdisjoint({*VALIDATION, TEST})
