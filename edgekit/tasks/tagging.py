"""Tagging: one output of logits, [N, tags], and for each tag whether an image has it: several, or none."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import numpy as np

from edgekit.errors import DataError
from edgekit.facts import Basis, Fact
from edgekit.tasks.statistics import paired
from edgekit.tasks.tables import numbers
from edgekit.tasks.task import Task, only_vector
from edgekit.tasks.values import (
    TARGETS,
    Answer,
    Better,
    Differences,
    Disagreement,
    Measured,
    Metric,
    Nearness,
    Plausibility,
    Understood,
)
from edgekit.words import count, percent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgekit.calibration.images import ImageSource
    from edgekit.tasks.values import Outputs

F1: Final = Metric("f1", "F1 of an image's tags", "%", Better.HIGHER)
F1_OF_TAGS: Final = Metric("f1_of_tags", "F1 of a tag, mean of all", "%", Better.HIGHER)
MAP: Final = Metric("map", "mean average precision", "%", Better.HIGHER)
DROP: Final = Metric("drop", "drop of F1", "points", Better.LOWER)
AGREEMENT: Final = Metric("agreement", "tags in common with float", "%", Better.HIGHER)
LEAST_AGREEMENT: Final = 75.0  # as of classes: percent, unless the user sets another
TRUSTED: Final = 0.5  # F1 of a network that was trained on such tags
SETTING: Final = "targets.csv beside the images, or an array 'targets' in the same .npz, of 0 and 1"
UNKNOWN: Final = -1  # what stands for a tag of which nobody knows; so does NaN
_ENOUGH = 10  # images from which the normal interval of a mean says something


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag that an image has.

    Attributes:
        index: of the tag.
        label: its name; "tag 7" where none is known.
        probability: 0..1.
    """

    index: int
    label: str
    probability: float


@dataclass(frozen=True, slots=True)
class Tags(Answer):
    """The tags of an image.

    Attributes:
        best: the most probable of those that it has, that first.
        present: indices of all that it has.
        unknown: indices of those of which nothing is known.
    """

    best: tuple[Tag, ...]
    present: frozenset[int]
    unknown: frozenset[int] = frozenset()

    @property
    def text(self) -> str:
        """The names of the tags."""
        more = ", …" if len(self.present) > len(self.best) else ""
        return ", ".join(tag.label for tag in self.best) + more or "no tag"

    @property
    def lines(self) -> tuple[str, ...]:
        """Each tag with its probability."""
        return tuple(f"{tag.label} {percent(tag.probability)}" for tag in self.best) or ("no tag",)

    def contradicts(self, right: Answer) -> bool:
        """Whether a tag is missing or too many, of those that are known."""
        assert isinstance(right, Tags)
        return bool((self.present ^ right.present) - right.unknown)


@dataclass(frozen=True, slots=True)
class Tagging(Task["NDArray[np.float64]"]):
    """Which of its tags an image has: those whose logit is above 0, so that their probability is above one half.

    Targets are [N, tags]: 1 where an image has a tag, 0 where not, NaN where nobody knows, which counts nowhere.

    Attributes:
        output: the name of the logits.
        tags: how many there are.
        labels: their names, in order; empty where none are known.
    """

    name: ClassVar[str] = "tagging"

    output: str
    tags: int
    labels: tuple[str, ...] = ()

    @classmethod
    def of(cls, shapes: Mapping[str, tuple[int, ...]], labels: Sequence[str], details: Mapping[str, Any]) -> Self:  # noqa: ARG003 - it needs none
        """See ``Task``."""
        output, tags = only_vector(shapes, cls.name, "tags")
        return cls(output, tags, tuple(labels))

    @property
    def things(self) -> int:
        """The tags."""
        return self.tags

    @property
    def outputs(self) -> tuple[str, ...]:
        """The logits."""
        return (self.output,)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """F1 at one half of each image's tags, and of each tag; and mean average precision, at any threshold."""
        return F1, F1_OF_TAGS, MAP

    @property
    def dropped(self) -> Metric:
        """The drop of F1."""
        return DROP

    @property
    def nearness(self) -> Nearness:
        """F1 of the tags against those that float gives."""
        return Nearness(AGREEMENT, LEAST_AGREEMENT, "it has {} of an image's tags in common with float")

    def check(self, images: ImageSource) -> None:
        """Read the targets once, so that what is wrong with them is said first."""
        self._read(images)

    def targets(self, images: ImageSource, outputs: Outputs) -> Understood[NDArray[np.float64]]:  # noqa: ARG002 - tags are what they are
        """Numbers beside the images (``tables.numbers``), 0 or 1; -1 or NaN where nobody knows."""
        found = self._read(images)
        if found is None or np.isnan(found).all():
            because = "no tags lie beside the images, so what is right of them is not measured"
            return Understood(None, Fact(TARGETS, "unknown", Basis.ASSUMED, because, SETTING))
        return Understood(found, Fact(TARGETS, "tags", Basis.GIVEN, "the images come with tags", SETTING))

    def measure(self, outputs: Outputs, targets: NDArray[np.float64]) -> tuple[Measured, ...]:
        """F1 as the mean over images; as the mean over the tags that occur; and their average precision, likewise."""
        right, known, given = _has(targets), ~np.isnan(targets), self._given(outputs)
        occurs = (right & known).any(0)
        of_tags = _f1(given, right, known, axis=0)[occurs]
        logits = outputs[self.output].astype(np.float64)
        precisions = [
            _average_precision(logits[known[:, tag], tag], right[known[:, tag], tag]) for tag in np.flatnonzero(occurs)
        ]
        return (
            Measured(F1, 100 * _mean(_of_images(given, targets))),
            Measured(F1_OF_TAGS, 100 * _mean(of_tags)),
            Measured(MAP, 100 * _mean(precisions)),
        )

    def drop(self, found: Outputs, expected: Outputs, targets: NDArray[np.float64]) -> Measured:
        """Percentage points of F1, paired by image."""
        ours, theirs = (_of_images(self._given(outputs), targets) for outputs in (found, expected))
        drop = paired(100 * (theirs - ours))
        return Measured(DROP, drop.value, drop.low, drop.high)

    def agreement(self, found: Outputs, expected: Outputs) -> Measured:
        """The mean F1 of an image's tags, as if those of the other network were right; 100 where neither has any."""
        ours, theirs = self._given(found), self._given(expected)
        return Measured(AGREEMENT, 100 * float(_of_images(ours, theirs.astype(np.float64)).mean()))

    def trusts(self, outputs: Outputs, targets: NDArray[np.float64]) -> bool:
        """Whether F1 is one half or more."""
        return _mean(_of_images(self._given(outputs), targets)) >= TRUSTED

    def plausible(self, outputs: Outputs, targets: NDArray[np.float64]) -> Plausibility:
        """Whether an image raises the logits of the tags that it has, against their mean over all images."""
        logits, known = outputs[self.output].astype(np.float64), ~np.isnan(targets)
        raised = (logits - logits.mean(0)) / np.maximum(logits.std(0), np.finfo(np.float64).tiny)
        right = _has(targets)
        sure = known.any(1) & (right & known).any(1) & (~right & known).any(1)
        has, lacks = ((raised * which).sum(1)[sure] / which.sum(1)[sure] for which in (right & known, ~right & known))
        value = {one.metric.name: one.value for one in self.measure(outputs, targets)}["map"]
        chance = 100 * _mean([right[known[:, tag], tag].mean() for tag in np.flatnonzero((right & known).any(0))])
        # Nearer than to what is perfect; of rare tags, of which a few images decide, at most five times as much.
        is_near_chance = value - chance < min(100 - value, 4 * chance)
        is_poor = len(has) >= _ENOUGH and paired(has - lacks).low <= 0 and is_near_chance
        measured = f"{MAP.text(value)}, where chance has {MAP.text(chance)}"
        problem = (
            f"the float network itself tells tags no better than chance: its mean average precision is {measured}. Its "
            f"preprocessing or padding is not what it was trained with, these are not its tags, or it has hardly been "
            f"trained: every file of it is as wrong. verify.limits.map sets what is expected, if that is right"
        )
        return Plausibility(
            "the float network's own tags", measured, f"more than {MAP.text(chance)}", problem if is_poor else ""
        )

    def decode(self, outputs: Outputs, most: int = 5) -> tuple[Tags, ...]:
        """The tags of each image, the most probable first; a probability is the logistic function of a logit."""
        likely = 1 / (1 + np.exp(-outputs[self.output].astype(np.float64)))
        return self._answers(likely, self._given(outputs), most)

    def stated(self, targets: NDArray[np.float64]) -> tuple[Tags, ...]:
        """The tags that images have."""
        return self._answers(targets, _has(targets), self.tags)

    def differences(self, found: Outputs, expected: Outputs, names: Sequence[str]) -> Differences:
        """Which tags are given by one network alone, the most frequent ones first."""
        ours, theirs = self._given(found), self._given(expected)
        called = self._names
        pairs: dict[tuple[int, bool], list[str]] = defaultdict(list)
        for image, tag in zip(*np.nonzero(ours != theirs), strict=True):
            pairs[int(tag), bool(theirs[image, tag])].append(names[image])
        ordered = sorted(pairs.items(), key=lambda item: (-len(item[1]), item[0]))
        differing = int((ours != theirs).any(1).sum())
        images = count(len(names), "image")
        sentence = (
            f"int8 gives other tags than float to {differing:,} of {images}."
            if differing
            else f"int8 and float give the same tags to all {images}."
        )
        words = {True: "{}", False: "not {}"}
        return Differences(
            sentence,
            tuple(
                Disagreement(words[has].format(called[tag]), words[not has].format(called[tag]), tuple(of))
                for (tag, has), of in ordered
            ),
        )

    @property
    def _names(self) -> tuple[str, ...]:
        return self.labels or tuple(f"tag {index}" for index in range(self.tags))

    def _given(self, outputs: Outputs) -> NDArray[np.bool_]:
        """Which tags each image gets, [N, tags]."""
        given: NDArray[np.bool_] = outputs[self.output] > 0
        return given

    def _answers(self, likely: NDArray[np.float64], has: NDArray[np.bool_], most: int) -> tuple[Tags, ...]:
        names, answers = self._names, []
        for row, present in zip(likely, has, strict=True):
            indices = [int(index) for index in np.argsort(-row, kind="stable") if present[index]]
            best = tuple(Tag(index, names[index], float(row[index])) for index in indices[:most])
            unknown = frozenset(map(int, np.flatnonzero(np.isnan(row))))
            answers.append(Tags(best, frozenset(indices), unknown))
        return tuple(answers)

    def _read(self, images: ImageSource) -> NDArray[np.float64] | None:
        """The targets, with NaN where nobody knows.

        Raises:
            DataError: there are others than 0, 1, -1 and NaN, or those of another network.
        """
        found = numbers(images, self.labels, self.tags)
        return None if found is None else known_tags(found, images.names, self._names)


def known_tags(targets: NDArray[np.float64], images: Sequence[str], tags: Sequence[str]) -> NDArray[np.float64]:
    """Targets [N, K] with NaN where nobody knows.

    Args:
        targets: 1 where an image has a tag, 0 where not, -1 or NaN where nobody knows.
        images: N names.
        tags: K names.

    Raises:
        DataError: there are others.
    """
    found = np.where(targets == UNKNOWN, np.nan, targets)
    odd = ~np.isnan(found) & (found != 0) & (found != 1)
    if odd.any():
        image, tag = np.argwhere(odd)[0]
        raise DataError(
            f"the target of {images[image]} for {tags[tag]} is {found[image, tag]:g}: 1 is wanted where an image has a "
            f"tag, 0 where not, -1 where nobody knows"
        )
    return found


def _has(targets: NDArray[np.float64]) -> NDArray[np.bool_]:
    has: NDArray[np.bool_] = targets == 1
    return has


def _of_images(given: NDArray[np.bool_], targets: NDArray[np.float64]) -> NDArray[np.float64]:
    """F1 of each image's tags, of the images of which any tag is known."""
    known = ~np.isnan(targets)
    return _f1(given, _has(targets), known, axis=1)[known.any(1)]


def _f1(
    given: NDArray[np.bool_], right: NDArray[np.bool_], known: NDArray[np.bool_], *, axis: int
) -> NDArray[np.float64]:
    """2 TP / (2 TP + FP + FN) along an axis, and 1 where there is nothing to find and nothing was found.

    >>> import numpy as np
    >>> yes = np.array([[True, False], [False, False]])
    >>> _f1(yes, yes, np.ones((2, 2), bool), axis=1).tolist()
    [1.0, 1.0]
    """
    hits = (given & right & known).sum(axis)
    all_of_both = (given & known).sum(axis) + (right & known).sum(axis)
    return np.where(all_of_both > 0, 2 * hits / np.maximum(all_of_both, 1), 1.0)


def _average_precision(logits: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Sum over thresholds of (recall gained) x precision; images with equal logits pass a threshold together.

    Source: scikit-learn, average_precision_score.

    >>> import numpy as np
    >>> _average_precision(np.array([3.0, 2.0, 1.0]), np.array([True, False, True]))
    0.8333333333333333
    """
    order = np.argsort(-logits, kind="stable")
    hits = np.cumsum(right[order])
    last = np.flatnonzero(np.append(np.diff(logits[order]) != 0, True))  # of equal ones, the last
    precision, found = hits[last] / (last + 1), np.diff(hits[last], prepend=0)
    return float((precision * found).sum() / hits[-1])


def _mean(values: Sequence[float] | NDArray[np.float64]) -> float:
    """The mean; 0 of nothing."""
    return float(np.mean(values)) if len(values) else 0.0
