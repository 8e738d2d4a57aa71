"""Which class of the network each image belongs to, and how that is known.

Images come with class indices, or with names of classes: of the folders that they lie in, or in a list. Indices are
given, and names that are the network's labels are stated. Else there are several readings: the numbers that names are,
their places in one order or another, each as it stands or shifted by one, as where a network has a background class.
The answers of the network decide between them: a reading holds if the network is right more often by it than chance
allows, and more often than by any other. Where none does, no accuracy is measured.

Statistics: the binomial tail against the hits that shuffled labels would give, and the sign test between two readings.
"""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgekit.errors import DataError
from edgekit.facts import Basis, Fact
from edgekit.tasks.values import TARGETS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

SETTING = "labels.csv beside the images, or folders named as in --labels FILE"
SIGNIFICANCE = 0.01  # how often chance may look like evidence
_SYNSET = re.compile(r"n\d{8}\b")
_NUMBERING = re.compile(r"\d+[ .:]+(?=\S)")


@dataclass(frozen=True, slots=True)
class Understood:
    """What the labels of images mean.

    Attributes:
        classes: the class index of each image; empty where they are not known or cannot be trusted.
        fact: how that is known; None where the images have no labels.
    """

    classes: tuple[int, ...]
    fact: Fact | None


@dataclass(frozen=True, slots=True)
class _Reading:
    """One thing that labels may mean: in words, and the class index of each image."""

    words: str
    classes: tuple[int, ...]


def natural(name: str) -> tuple[str | int, ...]:
    """A key that sorts numbers within names by their value.

    >>> sorted(["class 10", "class 2"], key=natural)
    ['class 2', 'class 10']
    """
    return tuple(int(part) if part.isascii() and part.isdigit() else part for part in re.split(r"([0-9]+)", name))


def understand(
    labels: Sequence[int], class_names: Sequence[str] | None, names: Sequence[str], logits: NDArray[np.generic]
) -> Understood:
    """What the labels of images mean.

    Args:
        labels: one an image, places among ``class_names`` or class indices; empty where there are none.
        class_names: of the images; None where the labels are class indices.
        names: of the network's classes; empty where they are not known.
        logits: the network's answers, [N, classes].

    Raises:
        DataError: a class index is none of the network's, and no shift explains its answers.
    """
    if not labels:
        return Understood((), None)
    classes = logits.shape[1]
    answers = logits.argmax(1)
    if class_names is None:
        return _of_indices(labels, classes, answers)
    if by_name := matched(class_names, names):
        because = f"the {len(class_names)} classes of the images are named as classes of the network"
        return Understood(_through(by_name, labels), Fact(TARGETS, "names", Basis.STATED, because, SETTING))
    return _of_names(labels, class_names, names, classes, answers)


def check(labels: Sequence[int], classes: int) -> None:
    """Refuse class indices that no network of so many classes can have, be they shifted by one or not.

    Raises:
        DataError: there is no such class.
    """
    if min(labels, default=0) < 0:
        number = sum(label < 0 for label in labels)
        raise DataError(
            f"{number} of {len(labels)} images have a negative label, {min(labels)} is the least, and classes are "
            f"counted from 0: leave out images that are of no class"
        )
    if max(labels, default=0) > classes:
        raise _no_class(labels, classes)


def matched(ours: Sequence[str], names: Sequence[str]) -> tuple[int, ...]:
    """The class of the network that each name is that of; empty unless each has one of its own.

    Upper case, underscores, synset numbers (n01440764) and numbering make no difference, nor do the synonyms behind a
    label's first comma.

    >>> matched(["n01443537", "Great_White-Shark"], ["great white shark, man-eater", "n01443537 goldfish"])
    (1, 0)
    """
    known: dict[str, set[int]] = {}
    for index, name in enumerate(names):
        for key in _keys(name):
            known.setdefault(key, set()).add(index)
    found = []
    for name in ours:
        unique = (known[key] for key in _keys(name) if len(known.get(key, ())) == 1)
        found += list(next(unique, ()))
    return tuple(found) if len(found) == len(ours) == len(set(found)) else ()


def _keys(name: str) -> Iterator[str]:
    """What a name may be known by, the most particular first."""
    text = " ".join(re.sub(r"[_\-\s]+", " ", unicodedata.normalize("NFKC", name).casefold()).split())
    yield text
    synset = _SYNSET.match(text)
    rest = text[synset.end() :].strip() if synset else _NUMBERING.sub("", text, count=1)
    if synset:
        yield synset[0]
    if rest:
        yield rest
        yield rest.partition(",")[0].strip()


def _of_names(
    labels: Sequence[int], class_names: Sequence[str], names: Sequence[str], classes: int, answers: NDArray[np.intp]
) -> Understood:
    """The reading of names that are not those of the network's classes, which explains the answers best."""
    readings = list(_readings(class_names, labels, classes))
    if not readings:
        known = "the names of these are not all among its labels" if names else "it has no labels to match names with"
        return unknown(f"the images are of {len(class_names)} classes, the network has {classes} classes, and {known}")
    best, *others = sorted(readings, key=lambda reading: -_hits(reading, answers))
    hits = _hits(best, answers)
    if not _explains(best, answers, classes):
        return unknown(f"the network is right on {hits} of {len(labels)} images by the best reading ({best.words})")
    rival = next((other for other in others if not _beats(best, other, answers)), None)
    if rival is not None:
        return unknown(f"{best.words} and {rival.words} explain its answers alike: {hits} of {len(labels)} images")
    return Understood(best.classes, _found(best, others, answers))


def _of_indices(labels: Sequence[int], classes: int, answers: NDArray[np.intp]) -> Understood:
    """Class indices hold as they are given, unless a shift explains the answers far better."""
    given, *shifted = (_Reading(_shift_words("the class indices", shift), tuple(label + shift for label in labels))
                       for shift in (0, -1, 1))  # fmt: skip
    is_valid = max(labels) < classes
    readings = [reading for reading in shifted if _is_valid(reading, classes)]
    best = max(readings, key=lambda reading: _hits(reading, answers), default=None)
    if best is not None and _explains(best, answers, classes) and _beats(best, given, answers):
        return Understood(best.classes, _found(best, [given], answers))
    if not is_valid:
        raise _no_class(labels, classes)
    because = "the images come with class indices"
    return Understood(given.classes, Fact(TARGETS, "indices", Basis.GIVEN, because, SETTING))


def _no_class(labels: Sequence[int], classes: int) -> DataError:
    return DataError(
        f"an image has the label {max(labels)}, and the network has {classes} classes, 0 to {classes - 1}: "
        f"check that the labels belong to this network and start from 0"
    )


def _readings(names: Sequence[str], labels: Sequence[int], classes: int) -> Iterator[_Reading]:
    """What names may mean that are not those of the network's classes, the likeliest first."""
    tables: dict[tuple[int, ...], str] = {}
    if all(name.isascii() and name.isdigit() for name in names):
        for shift in (0, -1, 1):
            tables.setdefault(tuple(int(name) + shift for name in names), _shift_words("the classes' numbers", shift))
    by_number, as_text = sorted(names, key=natural), sorted(names)
    orders = {"the classes' order by number": by_number, "their order as text": as_text}
    if by_number == as_text:
        orders = {"the classes' order": as_text}
    for shift in {0: (0,), 1: (1, 0)}.get(classes - len(names), ()):
        for words, order in orders.items():
            places = {name: place for place, name in enumerate(order)}
            tables.setdefault(tuple(places[name] + shift for name in names), _shift_words(words, shift))
    for table, words in tables.items():
        reading = _Reading(words, _through(table, labels))
        if _is_valid(reading, classes):
            yield reading


def _shift_words(words: str, shift: int) -> str:
    return {0: words, 1: f"{words}, plus one", -1: f"{words}, less one"}[shift]


def _through(table: Sequence[int], labels: Sequence[int]) -> tuple[int, ...]:
    return tuple(table[label] for label in labels)


def _is_valid(reading: _Reading, classes: int) -> bool:
    return min(reading.classes) >= 0 and max(reading.classes) < classes


def _right(reading: _Reading, answers: NDArray[np.intp]) -> NDArray[np.bool_]:
    right: NDArray[np.bool_] = answers == np.asarray(reading.classes)
    return right


def _hits(reading: _Reading, answers: NDArray[np.intp]) -> int:
    return int(_right(reading, answers).sum())


def _explains(reading: _Reading, answers: NDArray[np.intp], classes: int) -> bool:
    """Whether so many hits are more than the same labels would give if they were shuffled."""
    images = len(answers)
    shares = (np.bincount(found, minlength=classes) / images for found in (np.asarray(reading.classes), answers))
    chance = float(np.prod(list(shares), axis=0).sum())
    return binomial_tail(images, _hits(reading, answers), chance) < SIGNIFICANCE


def _beats(better: _Reading, other: _Reading, answers: NDArray[np.intp]) -> bool:
    """Whether one reading is right so much more often than another that it is no accident."""
    ours, theirs = _right(better, answers), _right(other, answers)
    wins, losses = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    return binomial_tail(wins + losses, wins, 0.5) < SIGNIFICANCE


def binomial_tail(trials: int, least: int, probability: float) -> float:
    """The probability of at least so many successes.

    >>> binomial_tail(3, 2, 0.5)
    0.5
    """
    if least <= 0:
        return 1.0
    if probability <= 0:
        return 0.0
    if probability >= 1:
        return 1.0
    logs = [
        math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)
        + k * math.log(probability) + (trials - k) * math.log1p(-probability)
        for k in range(least, trials + 1)
    ]  # fmt: skip
    return min(1.0, round(math.fsum(map(math.exp, logs)), 12))


def _found(best: _Reading, others: Sequence[_Reading], answers: NDArray[np.intp]) -> Fact:
    images = len(answers)
    because = f"by {best.words} the network is right on {_hits(best, answers)} of {images} images"
    if others:
        because += f", by {others[0].words} on {_hits(others[0], answers)}"
    return Fact(TARGETS, best.words, Basis.FOUND, because, SETTING)


def unknown(because: str) -> Understood:
    """That nobody knows of what classes images are, and why."""
    return Understood((), Fact(TARGETS, "unknown", Basis.ASSUMED, f"{because}, so no accuracy is measured", SETTING))
