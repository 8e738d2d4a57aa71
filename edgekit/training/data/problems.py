"""What is wrong with a data set, found before anything is trained: one sentence each, with what to do.

Some of it leaves nothing to train, or makes what is measured meaningless: that is refused. The rest is told.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.annotations.reading import DETECTION, SEGMENTATION
from edgekit.errors import DataError
from edgekit.progress import Progress, silent
from edgekit.tasks.classification import Classification
from edgekit.tasks.classification.labels import matched
from edgekit.tasks.tagging import Tagging
from edgekit.training.data.likeness import Looks, look, twins
from edgekit.words import count, percent, some

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from edgekit.training.data.opening import Data

MOST_IN_BOTH: Final = 0.5  # of the validation images that training sees: from there on it measures memory
NEARLY_ALL: Final = 0.9  # of the training images that are of one class
SMALL: Final = 0.5  # of the network's side; an image below it has a quarter of the pixels that are wanted, or fewer
MANY: Final = 0.1  # of the images that are small, and of the boxes
TINY: Final = 8.0  # pixels, the side of a box: half a place of the finest map that SSD looks at, whose stride is 16
_SHOWN: Final = 3  # names in a sentence


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong with a data set.

    Attributes:
        sentence: what it is, and what to do.
        is_fatal: whether training makes no sense.
    """

    sentence: str
    is_fatal: bool = False


def find(
    data: Data, size: tuple[int, int], *, names: Sequence[str] = (), progress: Progress = silent
) -> tuple[Problem, ...]:
    """What is wrong with a data set, and lets itself be trained with.

    All images are decoded once. Where they are kept in memory, this is how they get there.

    Args:
        data: what training starts from.
        size: (height, width) of the network's input, pixels.
        names: of the classes of a network that keeps its last layer, in order; empty where that layer is new.
        progress: told how many images were decoded.

    Raises:
        DataError: training makes no sense; the message has a sentence for each reason.
    """
    if not len(data.validation):
        raise DataError(
            f"There are {count(len(data.train), 'image')} and no two of one class, so none can be held out to choose "
            f"the best checkpoint: give more."
        )
    found = [*_of_labels(data, names)]
    for part in data.each:
        of_part = [*_OF_TARGETS.get(part.task, _of_numbers)(part)]
        if part.task == DETECTION:
            of_part += _of_small_boxes(part, size)
        found += of_part if part is data else [replace(one, sentence=f"{part.task}: {one.sentence}") for one in of_part]
    looks = [look(part, progress) for part in (data.train, data.validation)]
    found += [*_of_files(looks), *_of_sizes(data, size)]
    if not any(part.broken for part in looks):  # what is empty equals everything that is
        found += _of_twins(data, looks)
    if fatal := [problem.sentence for problem in found if problem.is_fatal]:
        raise DataError(" ".join(fatal))
    return tuple(found)


def _of_labels(data: Data, names: Sequence[str]) -> Iterator[Problem]:
    """Classes of another network."""
    known = matched(data.labels, names)
    if not names or not data.labels or known == tuple(range(len(names))):
        return
    if len(known) == len(names):
        how = f"has the same classes in another order, {_several(names)}, than the images, {_several(data.labels)}"
    else:
        how = (
            f"tells {_several(names)} apart ({len(names)}), and the images {_several(data.labels)} ({len(data.labels)})"
        )
    yield Problem(
        f"The network {how}: train it with a new last layer, or with images of its own classes.", is_fatal=True
    )


def _of_classes(data: Data) -> Iterator[Problem]:
    """Classes without images, or with nearly all of them."""
    learned, choosing = (
        np.bincount(part.targets, minlength=len(data.labels)) for part in (data.train, data.validation)
    )
    there = np.flatnonzero(learned + choosing)
    if len(there) < 2:
        name = "none" if not len(there) else data.labels[there[0]]
        yield Problem(
            f"All images are of one class ({name}), so nothing is told apart: give two classes or more, or the folder "
            f"that holds their folders.",
            is_fatal=True,
        )
        return

    if (unseen := (learned == 0) & (choosing > 0)).any():
        yield Problem(
            f"Only validation has images of {_these(data, unseen)}, which nothing can be learned of: the two parts "
            f"need the same classes, so add images of these to training, or take them out of validation.",
            is_fatal=True,
        )
    if (empty := (learned == 0) & (choosing == 0)).any():
        yield Problem(
            f"There is no image of {_these(data, empty)}: add some, or remove the class.",
            is_fatal=True,
        )
    if (unjudged := (learned > 0) & (choosing == 0)).any():
        yield Problem(
            f"Validation has no image of {_these(data, unjudged)}, so nothing shows whether these are learned: add "
            f"some."
        )
    largest = int(learned.argmax())
    if (share := learned[largest] / max(learned.sum(), 1)) >= NEARLY_ALL:
        yield Problem(
            f"{percent(share)} of the training images are {data.labels[largest]}, and a network that always answers so "
            f"would be right as often: give more images of the others."
        )


def _of_boxes(data: Data) -> Iterator[Problem]:
    """Objects of which there are none, and boxes that are there twice."""
    if not any(data.train.targets.present):
        yield Problem("No training image has a box, so nothing is learned: give images of objects.", is_fatal=True)
        return
    yield from _of_things(data)
    empty = [not present for present in data.train.targets.present]
    if sum(empty) > MANY * len(empty):
        first = data.train.names[empty.index(True)]
        yield Problem(
            f"{sum(empty):,} of {count(len(empty), 'training image')} have no box (the first is {first}) and show "
            f"background alone: if there is something on them, add its boxes, or leave the images out."
        )
    double = [
        name
        for part in (data.train, data.validation)
        for name, boxes in zip(part.names, part.targets, strict=True)
        if len(np.unique(np.column_stack([boxes.corners, boxes.classes]), axis=0)) < len(boxes)
    ]
    if double:
        yield Problem(
            f"{count(len(double), 'image')} ({_several(double)}) {'has' if len(double) == 1 else 'have'} a box of the "
            f"same class twice, and only one of the two can be found: remove the other."
        )


def _of_masks(data: Data) -> Iterator[Problem]:
    """Classes of which there are no pixels."""
    if len(there := frozenset().union(*data.train.targets.present)) < 2:
        name = "none" if not there else data.labels[min(there)]
        yield Problem(
            f"All pixels of the training masks are of one class ({name}), so nothing is told apart: give masks of two "
            f"classes or more. 255 stands for what is not known, so in masks of 0 and 255 the class needs another "
            f"number, such as 1.",
            is_fatal=True,
        )
        return
    yield from _of_things(data)


def _of_things(data: Data) -> Iterator[Problem]:
    """Classes that nothing is learned of, or that nothing judges."""
    learned, choosing = (
        _images_of_classes(part.targets.present, len(data.labels)) for part in (data.train, data.validation)
    )
    if (missing := (learned == 0) & (choosing == 0)).any():
        yield Problem(f"No image shows {_these(data, missing)}, so nothing is learned of that: add some, or remove it.")
    if (unseen := (learned == 0) & (choosing > 0)).any():
        yield Problem(
            f"Only validation shows {_these(data, unseen)}, so nothing is learned of that: add some to training."
        )
    if (unjudged := (learned > 0) & (choosing == 0)).any():
        yield Problem(
            f"No validation image shows {_these(data, unjudged)}, so nothing shows whether that is learned: add some."
        )


def _images_of_classes(present: Sequence[frozenset[int]], classes: int) -> NDArray[np.int64]:
    """How many images show each class."""
    shown = [index for of_image in present for index in of_image]
    return np.bincount(np.asarray(shown, np.int64), minlength=classes)


def _of_small_boxes(data: Data, size: tuple[int, int]) -> Iterator[Problem]:
    """Objects that hardly any pixel of the network's input shows."""
    corners = np.concatenate([boxes.corners for boxes in data.train.targets])
    sides = (corners[:, 2:] - corners[:, :2]) * [size[1], size[0]]
    small = int((np.sqrt(sides.prod(1)) < TINY).sum())
    if small > MANY * len(corners):
        yield Problem(
            f"{small:,} of {len(corners):,} boxes are smaller than {TINY:g} x {TINY:g} pixels of the network's "
            f"{size[1]} x {size[0]}, too small to be found: train with a larger --resolution."
        )


def _of_tags(data: Data) -> Iterator[Problem]:
    """Tags that no image has, or every image."""
    for value, words in ((1, "has"), (0, "is known to lack")):
        never = ~(data.train.targets == value).any(0)
        if never.any():
            yield Problem(
                f"No training image {words} {_these(data, never)}, so nothing is learned of it: add some, or "
                f"leave it out."
            )


def _of_numbers(data: Data) -> Iterator[Problem]:
    """Targets that are no numbers, or always the same one."""
    for part, name in ((data.train, "training"), (data.validation, "validation")):
        broken = ~np.isfinite(part.targets).all(1)
        if broken.any():
            first = part.names[int(broken.argmax())]
            yield Problem(
                f"In {name}, the target of {first}{_and_more(int(broken.sum()) - 1)} is no number: fill it in, or "
                f"leave the image out.",
                is_fatal=True,
            )
    if len(data.train) and (still := (data.train.targets == data.train.targets[0]).all(0)).any():
        yield Problem(
            f"{_these(data, still)} is the same for all training images, so nothing is learned of it: leave it out, or "
            f"give images where it differs."
        )


_OF_TARGETS: Final[Mapping[str, Callable[[Data], Iterator[Problem]]]] = {
    Classification.name: _of_classes,
    Tagging.name: _of_tags,
    DETECTION: _of_boxes,
    SEGMENTATION: _of_masks,
}


def _of_files(parts: Sequence[Looks]) -> Iterator[Problem]:
    """Images that cannot be used."""
    broken = {name: why for looks in parts for name, why in looks.broken.items()}
    if broken:
        yield Problem(
            f"{count(len(broken), 'image')} cannot be used ({some(broken)}): replace or remove "
            f"{'it' if len(broken) == 1 else 'them'}.",
            is_fatal=True,
        )


def _of_sizes(data: Data, size: tuple[int, int]) -> Iterator[Problem]:
    """Images that have to be enlarged by much."""
    sides = [(min(shape), shape) for part in (data.train, data.validation) for shape in part.sizes if min(shape)]
    small = [(side, shape) for side, shape in sides if side < SMALL * min(size)]
    if len(small) > MANY * len(sides):
        _, (width, height) = min(small)
        yield Problem(
            f"{len(small):,} of {count(len(sides), 'image')} are smaller than half of the network's {size[1]} x "
            f"{size[0]} (the smallest is {width} x {height}), and enlarging shows nothing more: train with "
            f"--resolution {_multiple(small[len(small) // 2][0])} or so."
        )


def _of_twins(data: Data, looks: Sequence[Looks]) -> Iterator[Problem]:
    """Images that are in both parts, and those that are of two classes."""
    train, validation = data.train, data.validation
    places = {digest: place for place, digest in enumerate(train.digests)}
    equal = [(places[digest], place) for place, digest in enumerate(validation.digests) if digest in places]
    known = {place for _, place in equal}
    near = [pair for pair in twins(looks[0].grey, looks[1].grey) if pair[1] not in known]
    if pairs := equal + near:
        first = f"{train.names[pairs[0][0]]} and {validation.names[pairs[0][1]]}"
        kinds = f"{len(equal)} of them to the byte, " if near and equal else "to the byte, " if equal else ""
        yield Problem(
            f"Training sees {len(pairs):,} of the {count(len(validation), 'validation image')}, too, or nearly the "
            f"same ({kinds}as {first}), so validation flatters the network: leave them out of one part.",
            is_fatal=len(pairs) > MOST_IN_BOTH * len(validation),
        )
    classes: dict[bytes, dict[int, str]] = defaultdict(dict)
    if data.task == Classification.name:
        for part in (train, validation):
            for digest, target, name in zip(part.digests, part.targets, part.names, strict=True):
                classes[digest].setdefault(int(target), name)
    if torn := [tuple(names.values()) for names in classes.values() if len(names) > 1]:
        yield Problem(
            f"{torn[0][0]} and {torn[0][1]} are the same to the byte, and of two classes{_and_more(len(torn) - 1)}: "
            f"decide for one."
        )


def _these(data: Data, chosen: NDArray[np.bool_]) -> str:
    """The names of some classes or numbers."""
    return _several([data.labels[i] if data.labels else f"target {i}" for i in np.flatnonzero(chosen)])


def _and_more(number: int) -> str:
    """The end of what holds for more than was said.

    >>> _and_more(0), _and_more(2)
    ('', ' (and of 2 more)')
    """
    return f" (and of {number} more)" if number else ""


def _several(names: Sequence[str]) -> str:
    """The first of many names.

    >>> _several(["cat", "dog"]), _several(["a", "b", "c", "d", "e"])
    ('cat, dog', 'a, b, c and 2 more')
    """
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"


def _multiple(side: int) -> int:
    """The multiple of 32 that is nearest, which halves five times to a whole number; at least 32."""
    return max(32 * round(side / 32), 32)
