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

Several tasks are all of these that lie beside the same images: boxes, masks, and a ``targets.csv`` beside the list or
the folders. A column of words in it is the class of each image; columns of numbers are tags where all are 0, 1 or -1.
An image may lack any: its mask is 255 then, its class -1, and its numbers are NaN. In a batch the targets are those of
each task by its name (detection, segmentation, classification, tagging or regression).

Where nothing says which images choose, one in five does, up to 5,000. Which ones follows from their content, so that it
is the same however they are called and wherever they lie. A test part is left alone: what it decides, it can no longer
judge.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.annotations.reading import TASKS
from edgekit.annotations.targets import Places, Targets
from edgekit.calibration import array_files, csv_files
from edgekit.errors import DataError
from edgekit.models.head_tasks import SEVERAL
from edgekit.progress import Progress, silent
from edgekit.tasks.classification import Classification
from edgekit.tasks.tables import SPLIT
from edgekit.training.data.examples import (
    HELD_BYTES,
    AnyTargets,
    Examples,
    FileExamples,
    array_examples,
    file_examples,
)
from edgekit.training.data.labelled import Labelled, labelled
from edgekit.training.data.parts import TEST, TRAIN, VALIDATION, Parts, parts_of
from edgekit.training.data.several import NOT_KNOWN, Part, SeveralTargets
from edgekit.words import count

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


HELD_OUT_EVERY: Final = 5  # one image in so many chooses, where nothing else says which do
MOST_HELD_OUT: Final = 5000  # of which a top-1 of 90 % is known to 0.4 points (one standard deviation)
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
    def each(self) -> tuple[Data, ...]:
        """Of several tasks, those of each alone, without images of which it knows nothing; else these themselves."""
        train, choosing = self.train.targets, self.validation.targets
        if not isinstance(train, SeveralTargets):
            return (self,)
        return tuple(
            replace(
                self,
                task=own.task,
                labels=own.labels,
                train=_known(self.train, own),
                validation=_known(self.validation, other),
            )
            for own, other in zip(train.parts, choosing.parts, strict=True)
        )

    @property
    def outputs(self) -> int:
        """How many numbers a network has to give for an image."""
        targets = self.train.targets
        if isinstance(targets, SeveralTargets):
            return sum(part.things for part in targets.parts)
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
            segmentation, masks; several, all of these that lie beside the images; or any other, numbers.
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
    train, chosen = (
        labelled(places.train, task),
        None if places.validation is None else labelled(places.validation, task),
    )
    notes += dict.fromkeys(note for part in (train, chosen) if part is not None for note in part.notes)
    if chosen is None and train.source.suffix.lower() == ".csv":
        train, chosen, judging = _by_column(train)
        notes += [f"What {SPLIT} calls {TEST} ({count(judging, 'image')}) is {_LEFT_ALONE}"] * (judging > 0)
    labels, targets = _settled([train] if chosen is None else [train, chosen])
    learned = _examples(train, targets[0], progress)
    if chosen is not None:
        choosing = _examples(chosen, targets[1], progress)
    else:
        others, held = split(learned, seed)
        each = " of each class" if task in {Classification.name, SEVERAL, *TASKS} else ""
        notes.append(
            f"There is no validation part: the best checkpoint is chosen on {count(len(held), 'image')} of "
            f"{len(learned):,}, one in {round(len(learned) / max(len(held), 1))}{each}, held out of training."
        )
        learned, choosing = learned.some(others), learned.some(held)
    learned, choosing = _held(learned, choosing)
    return Data(task, learned, choosing, labels, tuple(notes), _digest((learned, choosing), labels))


def _known(examples: Examples, part: Part) -> Examples:
    """Those of which a task knows anything, with its own targets."""
    own, known = examples.labelled(part.targets), part.known
    return own if len(known) == len(own) else own.some(known)


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


def _by_column(part: Labelled) -> tuple[Labelled, Labelled | None, int]:
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


def _settled(parts: Sequence[Labelled]) -> tuple[tuple[str, ...], list[AnyTargets]]:
    """Names of classes or numbers, and the targets of each part, with indices of these classes."""
    train, *others = parts
    if isinstance(train.targets, SeveralTargets):
        return _settled_together(parts)
    labels = _labels(train, others)
    return labels, [_targets(part, labels) for part in parts]


def _settled_together(parts: Sequence[Labelled]) -> tuple[tuple[str, ...], list[AnyTargets]]:
    """The same of each of several tasks."""
    tasks = [[one.task for one in part.targets.parts] for part in parts]
    if tasks[0] != tasks[-1]:
        raise DataError(
            f"{parts[0].source} serves {', '.join(tasks[0])}, and {parts[-1].source} {', '.join(tasks[-1])}: both need "
            f"the same"
        )
    settled = []
    for place in range(len(tasks[0])):
        own = [part.targets.parts[place] for part in parts]
        settled.append(
            _settled(
                [replace(part, targets=one.targets, labels=one.labels) for part, one in zip(parts, own, strict=True)]
            )
        )
    of_parts = (
        [Part(task, labels, targets[number]) for task, (labels, targets) in zip(tasks[0], settled, strict=True)]
        for number in range(len(parts))
    )
    return tuple(label for labels, _ in settled for label in labels), [SeveralTargets(own) for own in of_parts]


def _labels(train: Labelled, others: Sequence[Labelled]) -> tuple[str, ...]:
    """Names of all classes, those of training first; or of numbers."""
    parts = [train, *others]
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


def _targets(part: Labelled, labels: Sequence[str]) -> AnyTargets:
    """Of a part, with indices of all classes."""
    targets, place = part.targets, {name: index for index, name in enumerate(labels)}
    if isinstance(targets, Places):
        own = np.asarray([place[name] for name in part.labels or ()], np.int64)
        return targets if part.labels == tuple(labels) else targets.renamed(own)
    if targets.ndim == 1 and part.labels is not None:
        own = np.asarray([place[name] for name in part.labels], np.int64)
        return np.where(targets == NOT_KNOWN, NOT_KNOWN, own[targets])
    return targets


def _examples(part: Labelled, targets: AnyTargets, progress: Progress) -> Examples:
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
