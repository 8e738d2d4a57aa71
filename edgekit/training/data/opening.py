"""From a path to a data set: which images train, which choose, and what each of them is.

===================  ==================================================================================================
class folders        one folder a class, its name the folder's
train/ and val/      (or validation/, valid/), each with class folders; or train.npz and val.npz, train.csv and val.csv
.csv                 as ``calibration.images.open_images`` has it
.npz                 uint8 ``images`` [N, H, W, C] and ``labels`` [N]; ``classes`` may name these
===================  ==================================================================================================

Where nothing says which images choose, one in five does. Which ones follows from their content, so that it is the same
however they are called and wherever they lie. A test part is left alone: what it decides, it can no longer judge.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.calibration import array_files
from edgekit.calibration.origins import Files, origin_of, subfolders
from edgekit.errors import DataError
from edgekit.progress import Progress, silent
from edgekit.training.data.examples import HELD_BYTES, Examples, FileExamples, array_examples, file_examples
from edgekit.words import count

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TRAIN: Final = "train"
VALIDATION: Final = ("val", "validation", "valid")
TEST: Final = "test"
HELD_OUT_EVERY: Final = 5  # one image in so many chooses, where nothing else says which do
_LISTS: Final = (".npz", ".csv")  # files that can be a part by themselves


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Data:
    """A data set, ready to be trained with.

    Attributes:
        train: what is learned from.
        validation: what chooses among checkpoints; never learned from.
        labels: names of classes, in the order of their indices.
        notes: what was decided on the way, a sentence each, for people.
        digest: SHA-256, hexadecimal, over contents, targets and labels, in order.
    """

    train: Examples
    validation: Examples
    labels: tuple[str, ...]
    notes: tuple[str, ...]
    digest: str

    @property
    def outputs(self) -> int:
        """How many numbers a network has to give for an image."""
        return len(self.labels)


def open_data(path: Path, *, validation: Path | None = None, seed: int = 0, progress: Progress = silent) -> Data:
    """A data set from a path; the module says what may lie there.

    Every file is read once, so that what is known of it later is known of its content; none is decoded.

    Args:
        path: a folder, a .csv or an .npz.
        validation: the images that choose, where they lie elsewhere.
        seed: of the split, where nothing says which images choose.
        progress: told how many images are read.

    Raises:
        DataError: there is nothing, or something that contradicts itself; the message says what.
    """
    notes: list[str] = []
    parts = _parts(path)
    if validation is not None:
        parts = _Parts(parts.train, validation, None)
    if parts.test is not None:
        notes.append(f"{parts.test} is left alone: what chooses a network can no longer judge it.")
    train = _read(parts.train)
    chosen = None if parts.validation is None else _read(parts.validation)
    labels = _labels(train, chosen)
    learned = _examples(train, labels, progress)
    if chosen is not None:
        choosing = _examples(chosen, labels, progress)
    else:
        others, held = split(learned, seed)
        notes.append(
            f"There is no validation part: {count(len(held), 'image')} of {len(learned):,}, one in {HELD_OUT_EVERY} of "
            f"each class, are held out of training to choose the best checkpoint."
        )
        learned, choosing = learned.some(others), learned.some(held)
    learned, choosing = _held(learned, choosing)
    return Data(learned, choosing, labels, tuple(notes), _digest((learned, choosing), labels))


def split(examples: Examples, seed: int = 0) -> tuple[list[int], list[int]]:
    """The places of those that are learned from, and of those that choose, one in five of each class.

    An image's place in a random order follows from its content, so equal images stay together, and neither names nor
    order make a difference. Of a class with two different images or more at least one chooses and one is learned from.

    Args:
        examples: of which some shall choose.
        seed: another one gives another order.
    """
    digests, held = examples.digests, set[int]()
    for places in examples.classes().values():
        drawn = {digests[i]: hashlib.sha256(b"%d " % seed + digests[i]).digest() for i in places}
        number = max(round(len(places) / HELD_OUT_EVERY), 1) if len(drawn) > 1 else 0
        first = sorted(places, key=lambda i: drawn[digests[i]])[:number]
        chosen = {digests[i] for i in first}
        held |= {i for i in places if digests[i] in chosen}
    return [i for i in range(len(examples)) if i not in held], sorted(held)


# --- parts ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Parts:
    """Where images lie that are learned from, that choose, and that judge; None where there are none."""

    train: Path
    validation: Path | None
    test: Path | None


def _parts(path: Path) -> _Parts:
    """What lies at a path, and beside it."""
    if path.is_dir():
        train = _beside(path, TRAIN, ("", *_LISTS))
        if train is None or (train.is_dir() and not _are_parts(path)):
            return _Parts(path, None, None)
        return _with_others(path, train, ("", *_LISTS))
    if path.stem.lower() == TRAIN:
        return _with_others(path.parent, path, (path.suffix,))
    return _Parts(path, None, None)


def _with_others(folder: Path, train: Path, suffixes: Sequence[str]) -> _Parts:
    choosing = (found for name in VALIDATION if (found := _beside(folder, name, suffixes)) is not None)
    return _Parts(train, next(choosing, None), _beside(folder, TEST, suffixes))


def _beside(folder: Path, name: str, suffixes: Sequence[str]) -> Path | None:
    """What is called so in a folder: a folder, or a file with one of the suffixes."""
    paths = (folder / f"{name}{suffix}" for suffix in suffixes)
    return next((path for path in paths if path.is_dir() == (not path.suffix) and path.exists()), None)


def _are_parts(folder: Path) -> bool:
    """Whether a subfolder "train" is a part and not a class, as it is among cars and buses."""
    others = set(subfolders(folder)) - {TRAIN}
    return not others or not others.isdisjoint({*VALIDATION, TEST})


# --- what each image is -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """A part, with the place of each image's class among ``classes``.

    Attributes:
        source: where it comes from.
        names: of the images.
        places: one an image.
        classes: names of classes; None where the places are class indices without names.
        paths: of the images; empty where these are an array.
    """

    source: Path
    names: Sequence[str]
    places: Sequence[int]
    classes: tuple[str, ...] | None
    paths: Sequence[Path]


def _read(source: Path) -> _Read:
    try:
        origin, where = origin_of(source)
    except OSError as error:
        raise DataError(f"cannot read {error.filename or source}: {error.strerror or error}") from error
    paths = origin.paths if isinstance(origin, Files) else ()
    if origin.labels is not None and origin.folders is None:
        classes = array_files.class_names(source) if isinstance(origin, array_files.Arrays) else None
        return _Read(source, origin.names, origin.labels, classes, paths)
    if not source.is_dir():
        raise DataError(f"nothing says of what class the {count(len(origin.names), 'image')} {where} are: {_WANTED}")
    classes = subfolders(source)
    stray = next((name for name in origin.names if "/" not in name), None)
    if stray is not None or not classes:
        raise DataError(f"nothing says of what class {stray or source} is: {_WANTED}")
    place = {name: index for index, name in enumerate(classes)}
    return _Read(source, origin.names, [place[name.split("/")[0]] for name in origin.names], classes, paths)


_WANTED: Final = (
    "put images into one folder a class, name their classes in a column 'label' of a .csv, or put an array 'labels' "
    "beside 'images' into the .npz"
)


def _labels(train: _Read, chosen: _Read | None) -> tuple[str, ...]:
    """All classes, those of training first."""
    parts = [train] if chosen is None else [train, chosen]
    if all(part.classes is None for part in parts):
        return tuple(str(index) for index in range(max(max(part.places) for part in parts) + 1))
    named = [part for part in parts if part.classes is not None]
    most = max(max(part.places, default=0) for part in parts if part.classes is None) if len(named) < len(parts) else -1
    names = tuple(dict.fromkeys(name for part in named for name in part.classes or ()))
    if most >= len(names):
        raise DataError(f"an image has the class index {most}, and {len(names)} classes have names: name all")
    return names


def _examples(part: _Read, labels: Sequence[str], progress: Progress) -> Examples:
    place = {name: index for index, name in enumerate(labels)}
    places = [place[part.classes[index]] for index in part.places] if part.classes is not None else part.places
    targets = np.asarray(places, np.int64)
    if part.paths:
        return file_examples(part.names, targets, part.paths, progress)
    return array_examples(part.names, targets, array_files.read_array(part.source))


def _held(*parts: Examples) -> tuple[Examples, ...]:
    """The parts with their images kept in memory, if all of them fit."""
    files = [part for part in parts if isinstance(part, FileExamples)]
    if sum(part.held_bytes for part in files) > HELD_BYTES:
        return parts
    return tuple(part.held() if isinstance(part, FileExamples) else part for part in parts)


def _digest(parts: Sequence[Examples], labels: Sequence[str]) -> str:
    digest = hashlib.sha256("\0".join(labels).encode())
    for part in parts:
        digest.update(b"".join(part.digests))
        digest.update(np.ascontiguousarray(part.targets).tobytes())
    return digest.hexdigest()
