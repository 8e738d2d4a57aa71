"""What each image of a part is, from what lies beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.annotations import reading
from edgekit.annotations.lying import lying_in, of_a_list
from edgekit.calibration import array_files
from edgekit.calibration.origins import Files, origin_of, subfolders
from edgekit.errors import DataError
from edgekit.models.head_tasks import SEVERAL
from edgekit.tasks.classification import Classification
from edgekit.tasks.regression import Regression
from edgekit.tasks.tables import all_numbers, classes
from edgekit.tasks.tagging import UNKNOWN, Tagging, known_tags
from edgekit.training.data.examples import AnyTargets, picked
from edgekit.training.data.several import NOT_KNOWN, Part, SeveralTargets

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgekit.calibration.origins import Origin

_WANTED: Final = {
    reading.DETECTION: "put COCO's JSON, PASCAL VOC's Annotations/ or YOLO's labels/ beside images/",
    reading.SEGMENTATION: "put masks of the same names into masks/ beside images/",
}
_CLASSES: Final = (
    "put images into one folder a class, name their classes in a column 'label' of a .csv, or put an array 'labels' "
    "beside 'images' into the .npz"
)


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Labelled:
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

    def some(self, chosen: Sequence[int]) -> Labelled:
        """Some of the images, which are files."""
        names, paths = [self.names[i] for i in chosen], [self.paths[i] for i in chosen]
        return Labelled(self.source, names, picked(self.targets, chosen), self.labels, paths, self.notes)


def _origin(source: Path) -> tuple[Origin, Sequence[Path]]:
    """What lies there, and the paths of images that are files."""
    try:
        origin, _ = origin_of(source)
    except OSError as error:
        raise DataError(f"cannot read {error.filename or source}: {error.strerror or error}") from error
    return origin, origin.paths if isinstance(origin, Files) else ()


def labelled(source: Path, task: str) -> Labelled:
    """A part, with what is said of its images.

    Raises:
        DataError: nothing is, or something that contradicts itself; the message says what.
    """
    if task == SEVERAL:
        return _read_several(source)
    if task in reading.TASKS:
        return _read_annotated(source, task)
    if task == Classification.name:
        return _read_classes(source)
    part = _read_numbers(source)
    if task != Tagging.name:
        return part
    tags = part.labels or [f"tag {i}" for i in range(part.targets.shape[1])]
    return replace(part, targets=known_tags(part.targets.astype(np.float64), part.names, tags).astype(np.float32))


def _read_classes(source: Path) -> Labelled:
    origin, paths = _origin(source)
    names, places, classes = origin.names, origin.labels, origin.class_names
    if origin.unread is not None:
        raise DataError(origin.unread)
    if places is not None and isinstance(origin, array_files.Arrays):
        classes = array_files.names_of_classes(source)
    if places is None:  # class folders, of which one may be empty
        classes = subfolders(source) if source.is_dir() else ()
        stray = [name for name in names if "/" not in name]
        if (there := lying_in(source)) is not None and there[0] in reading.TASKS and (stray or len(classes) < 2):
            raise DataError(
                f"{source} has {there[1]}, and nothing that says of what class an image is: add --task {there[0]}, or "
                f"{_CLASSES}"
            )
        if stray or not classes:
            what = f"{stray[0]} is" if classes else f"images in {source} are"
            raise DataError(f"nothing says of what class {what}: {_CLASSES}")
        place = {name: index for index, name in enumerate(classes)}
        places = [place[name.split("/")[0]] for name in names]
    return Labelled(source, names, np.asarray(places, np.int64), classes, paths)


def _read_annotated(source: Path, task: str) -> Labelled:
    if not source.exists():
        raise DataError(f"{source} does not exist: name the images to learn from")
    found = reading.read(source, task)
    if found is None:
        if instead := of_a_list(source):
            raise DataError(instead)
        what, there = "boxes" if task == reading.DETECTION else "masks", lying_in(source)
        if there is not None:
            raise DataError(
                f"{source} has {there[1]}, and no {what}: --task {there[0]} learns from these; for {task} "
                f"{_WANTED[task]}, and name the folder of both"
            )
        raise DataError(f"there are no {what} in {source} or beside it: {_WANTED[task]}, and name the folder of both")
    return Labelled(source, found.names, found.targets, found.labels, found.paths, found.notes)


def _read_several(source: Path) -> Labelled:
    """All that lies beside the images: boxes, masks, a class and numbers."""
    found = [(task, one) for task in reading.TASKS if (one := reading.read(source, task)) is not None]
    if not found:
        raise DataError(
            f"neither boxes nor masks lie beside the images of {source}, so there are not several tasks: "
            f"{'; or '.join(_WANTED.values())}"
        )
    first = found[0][1]
    for task, one in found:
        if one.names != first.names:
            raise DataError(
                f"what serves {found[0][0]} and {task} in {source} is of other images: name one list of them"
            )
    parts = [Part(task, one.labels, one.targets) for task, one in found]
    notes = [note for _, one in found for note in one.notes]
    if (of_class := classes(source, first.names)) is not None:
        column, words = of_class
        labels = tuple(sorted({word for word in words if word is not None}))
        places = [NOT_KNOWN if word is None else labels.index(word) for word in words]
        parts.append(Part(Classification.name, labels, np.asarray(places, np.int64)))
        notes.append(f"{reading.TABLE} holds words in {column}, which are the classes of images.")
    if (numbers := all_numbers(source, first.names)) is not None:
        values, columns = numbers
        if np.isin(values[~np.isnan(values)], (0, 1, UNKNOWN)).all():
            tags = known_tags(values, first.names, columns)
            parts.append(Part(Tagging.name, columns, tags.astype(np.float32)))
            notes.append(f"{reading.TABLE} holds 0, 1 and -1 alone, so its columns are tags.")
        else:
            parts.append(Part(Regression.name, columns, values.astype(np.float32)))
            notes.append(f"{reading.TABLE} holds numbers, which are learned as such.")
    if len(parts) < 2:
        raise DataError(
            f"only {parts[0].task} is served by what lies beside the images of {source}: train for that alone, or add "
            f"{' or '.join(_WANTED[task] for task in reading.TASKS if task != parts[0].task)}, or {reading.TABLE}"
        )
    return Labelled(source, first.names, SeveralTargets(parts), None, first.paths, tuple(notes))


def _read_numbers(source: Path) -> Labelled:
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
    return Labelled(source, origin.names, numbers.astype(np.float32), labels or None, paths)
