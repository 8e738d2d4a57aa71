"""From a path to a data set: which images train, which choose, and what each of them is.

===================  ==================================================================================================
class folders        one folder a class, its name the folder's
train/ and val/      (or validation/, valid/), each with class folders; or train.npz and val.npz, train.csv and val.csv
.csv                 as ``calibration.images.open_images`` has it; a column ``split`` may say train or val of each image
.npz                 uint8 ``images`` [N, H, W, C] and ``labels`` [N]; ``classes`` may name these
===================  ==================================================================================================

Where targets are numbers, they lie beside images as ``tasks.tables`` has it. Boxes and masks lie there as
``annotations.reading`` has it, and their parts are files or folders that differ in one word, train and val (or
validation, valid): ``train.json``, ``annotations/instances_train2017.json``, ``ImageSets/Main/train.txt`` (of masks
``ImageSets/Segmentation/train.txt``), ``images/train/``, ``train.txt``, or ``train/`` with all that belongs to it.

Where nothing says which images choose, one in five does, up to 5,000. Which ones follows from their content, so that it
is the same however they are called and wherever they lie. A test part is left alone: what it decides, it can no longer
judge.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.annotations import reading
from edgekit.annotations.targets import Targets
from edgekit.calibration import array_files, csv_files
from edgekit.calibration.origins import Files, origin_of, subfolders
from edgekit.errors import DataError
from edgekit.progress import Progress, silent
from edgekit.tasks.classification import Classification
from edgekit.tasks.tables import SPLIT, all_numbers
from edgekit.tasks.tagging import Tagging, known_tags
from edgekit.training.data.examples import (
    HELD_BYTES,
    AnyTargets,
    Examples,
    FileExamples,
    array_examples,
    file_examples,
    picked,
)
from edgekit.training.data.parts import TEST, TRAIN, VALIDATION, Parts, parts_of
from edgekit.words import count

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgekit.calibration.origins import Origin

HELD_OUT_EVERY: Final = 5  # one image in so many chooses, where nothing else says which do
MOST_HELD_OUT: Final = 5000  # of which a top-1 of 90 % is known to 0.4 points (one standard deviation)
_WANTED: Final = {
    reading.DETECTION: "put COCO's JSON, PASCAL VOC's Annotations/ or YOLO's labels/ beside images/",
    reading.SEGMENTATION: "put masks of the same names into masks/ beside images/",
}
_LEFT_ALONE: Final = "left alone: what chooses a network can no longer judge it."


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Data:
    """A data set, ready to be trained with.

    Attributes:
        task: what targets mean, by its name.
        train: what is learned from.
        validation: what chooses among checkpoints; never learned from.
        labels: names of classes, in the order of their indices, or of numbers; empty where numbers have none.
        notes: what was decided on the way, a sentence each, for people.
        digest: SHA-256, hexadecimal, over contents, targets and labels, in order.
    """

    task: str
    train: Examples
    validation: Examples
    labels: tuple[str, ...]
    notes: tuple[str, ...]
    digest: str

    @property
    def outputs(self) -> int:
        """How many numbers a network has to give for an image."""
        targets = self.train.targets
        return len(self.labels) if isinstance(targets, Targets) or targets.ndim == 1 else targets.shape[1]


def open_data(
    path: Path,
    task: str = Classification.name,
    *,
    validation: Path | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Data:
    """A data set from a path; the module says what may lie there.

    Every file is read once, so that what is known of it later is known of its content; none is decoded.

    Args:
        path: a folder, a .csv or an .npz.
        task: classification, whose targets are classes; tagging, 0 or 1, and NaN where nobody knows; detection, boxes;
            segmentation, masks; or any other, numbers.
        validation: the images that choose, where they lie elsewhere.
        seed: of the split, where nothing says which images choose.
        progress: told how many images are read.

    Raises:
        DataError: there is nothing, or something that contradicts itself; the message says what.
    """
    places = parts_of(path, task)
    if validation is not None:
        places = Parts(places.train, validation, places.test)
    notes = [f"{places.test} is {_LEFT_ALONE}"] if places.test is not None else []
    train, chosen = _read(places.train, task), None if places.validation is None else _read(places.validation, task)
    notes += [note for part in (train, chosen) if part is not None for note in part.notes]
    if chosen is None and train.source.suffix.lower() == ".csv":
        train, chosen, judging = _by_column(train)
        notes += [f"What {SPLIT} calls {TEST} ({count(judging, 'image')}) is {_LEFT_ALONE}"] * (judging > 0)
    labels = _labels(train, chosen)
    learned = _examples(train, labels, progress)
    if chosen is not None:
        choosing = _examples(chosen, labels, progress)
    else:
        others, held = split(learned, seed)
        each = " of each class" if task in {Classification.name, *reading.TASKS} else ""
        notes.append(
            f"There is no validation part: {count(len(held), 'image')} of {len(learned):,}, one in "
            f"{round(len(learned) / max(len(held), 1))}{each}, are held out of training to choose the best checkpoint."
        )
        learned, choosing = learned.some(others), learned.some(held)
    learned, choosing = _held(learned, choosing)
    return Data(task, learned, choosing, labels, tuple(notes), _digest((learned, choosing), labels))


def split(examples: Examples, seed: int = 0) -> tuple[list[int], list[int]]:
    """The places of those that are learned from, and of those that choose: one in five of each class, at most 5,000.

    An image's place in a random order follows from its content, so equal images stay together, and neither names nor
    order make a difference. Of a class with two different images or more at least one chooses and one is learned from.

    Args:
        examples: of which some shall choose.
        seed: another one gives another order.
    """
    digests, held = examples.digests, set[int]()
    every = max(HELD_OUT_EVERY, len(examples) / MOST_HELD_OUT)
    for places in examples.classes().values():
        drawn = {digests[i]: hashlib.sha256(b"%d " % seed + digests[i]).digest() for i in places}
        number = max(round(len(places) / every), 1) if len(drawn) > 1 else 0
        first = sorted(places, key=lambda i: drawn[digests[i]])[:number]
        chosen = {digests[i] for i in first}
        held |= {i for i in places if digests[i] in chosen}
    return [i for i in range(len(examples)) if i not in held], sorted(held)


# --- what each image is -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class _Read:
    """A part, with what is said of each of its images.

    Attributes:
        source: where it comes from.
        names: of the images.
        targets: [N], places among ``labels``; or [N, K].
        labels: names of classes, or of the K numbers; None where there are none.
        paths: of the images; empty where these are an array.
        notes: what was decided on the way.
    """

    source: Path
    names: Sequence[str]
    targets: AnyTargets
    labels: tuple[str, ...] | None
    paths: Sequence[Path]
    notes: tuple[str, ...] = ()

    def some(self, chosen: Sequence[int]) -> _Read:
        """Some of the images, which are files."""
        names, paths = [self.names[i] for i in chosen], [self.paths[i] for i in chosen]
        return _Read(self.source, names, picked(self.targets, chosen), self.labels, paths, self.notes)


def _origin(source: Path) -> tuple[Origin, Sequence[Path]]:
    """What lies there, and the paths of images that are files."""
    try:
        origin, _ = origin_of(source)
    except OSError as error:
        raise DataError(f"cannot read {error.filename or source}: {error.strerror or error}") from error
    return origin, origin.paths if isinstance(origin, Files) else ()


def _read(source: Path, task: str) -> _Read:
    if task in reading.TASKS:
        return _read_annotated(source, task)
    if task == Classification.name:
        return _read_classes(source)
    part = _read_numbers(source)
    if task != Tagging.name:
        return part
    tags = part.labels or [f"tag {i}" for i in range(part.targets.shape[1])]
    return replace(part, targets=known_tags(part.targets.astype(np.float64), part.names, tags).astype(np.float32))


def _read_classes(source: Path) -> _Read:
    origin, paths = _origin(source)
    names, places, classes = origin.names, origin.labels, origin.class_names
    if origin.unread is not None:
        raise DataError(origin.unread)
    if places is not None and isinstance(origin, array_files.Arrays):
        classes = array_files.names_of_classes(source)
    if places is None:  # class folders, of which one may be empty
        classes = subfolders(source) if source.is_dir() else ()
        stray = [name for name in names if "/" not in name]
        if stray or not classes:
            what = f"{stray[0]} is" if classes else f"images in {source} are"
            raise DataError(
                f"nothing says of what class {what}: put images into one folder a class, name their classes in a "
                f"column 'label' of a .csv, or put an array 'labels' beside 'images' into the .npz"
            )
        place = {name: index for index, name in enumerate(classes)}
        places = [place[name.split("/")[0]] for name in names]
    return _Read(source, names, np.asarray(places, np.int64), classes, paths)


def _read_annotated(source: Path, task: str) -> _Read:
    found = reading.read(source, task)
    if found is None:
        raise DataError(f"nothing that serves {task} lies beside the images of {source}: {_WANTED[task]}")
    return _Read(source, found.names, found.targets, found.labels, found.paths, found.notes)


def _read_numbers(source: Path) -> _Read:
    origin, paths = _origin(source)
    found = all_numbers(source, origin.names)
    if found is None:
        raise DataError(
            f"no numbers lie beside the images of {source}: put them into further columns of a .csv, into targets.csv "
            f"in the folder, or as an array 'targets' into the .npz"
        )
    numbers, labels = found
    if len(numbers) != len(origin.names):
        raise DataError(f"{source} has {len(origin.names)} images and targets of {len(numbers)}: give each its own")
    return _Read(source, origin.names, numbers.astype(np.float32), labels or None, paths)


def _by_column(part: _Read) -> tuple[_Read, _Read | None, int]:
    """What a list says is trained with and what chooses, if it does, and how many images it keeps to judge."""
    table = csv_files.read(part.source)
    if (column := table.column((SPLIT,))) is None:
        return part, None, 0
    chosen: dict[str, list[int]] = {TRAIN: [], VALIDATION[0]: [], TEST: []}
    meant = {**{name: name for name in chosen}, **dict.fromkeys(VALIDATION, VALIDATION[0])}
    for place, row in enumerate(table.rows):
        text = row.cell(column)
        if (name := meant.get(text.lower())) is None:
            raise DataError(
                f"{part.source}, line {row.line}: {SPLIT} is {text!r}, and one of {', '.join(meant)} is wanted"
            )
        chosen[name].append(place)
    train, validation, test = chosen.values()
    if not train:
        raise DataError(f"{part.source} has no image whose {SPLIT} is {TRAIN}")
    return part.some(train), part.some(validation) if validation else None, len(test)


def _labels(train: _Read, chosen: _Read | None) -> tuple[str, ...]:
    """Names of all classes, those of training first; or of numbers."""
    parts = [train] if chosen is None else [train, chosen]
    names = tuple(dict.fromkeys(name for part in parts for name in part.labels or ()))
    if isinstance(train.targets, Targets):
        return names
    if train.targets.ndim > 1:
        for part in parts:
            if part.labels != train.labels or part.targets.shape[1] != train.targets.shape[1]:
                raise DataError(f"{train.source} and {part.source} have other numbers: name their columns alike")
        return train.labels or ()
    most = -1
    for part in parts:
        largest, named = int(part.targets.max(initial=-1)), len(part.labels or names)
        if named and largest >= named:
            raise DataError(
                f"{part.source} has an image of the class index {largest}, and {named} classes have names: name all"
            )
        most = max(most, largest)
    return names or tuple(str(index) for index in range(most + 1))


def _examples(part: _Read, labels: Sequence[str], progress: Progress) -> Examples:
    targets = part.targets
    place = {name: index for index, name in enumerate(labels)}
    if isinstance(targets, Targets):
        if part.labels != tuple(labels):
            targets = targets.renamed(np.asarray([place[name] for name in part.labels or ()], np.int64))
    elif targets.ndim == 1 and part.labels is not None:
        targets = np.asarray([place[name] for name in part.labels], np.int64)[targets]
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
        targets = part.targets
        digest.update(targets.digest if isinstance(targets, Targets) else np.ascontiguousarray(targets).tobytes())
    return digest.hexdigest()
