"""Classification: one output of logits, [N, classes], and one class an image."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import numpy as np

from edgekit.annotations.lying import lying_in
from edgekit.errors import DataError
from edgekit.tasks.classification import accuracy, labels
from edgekit.tasks.classification.answers import Classes, answers, class_names, of_class
from edgekit.tasks.classification.plausibility import TOP1, judged
from edgekit.tasks.classification.quality import confusion_matrix, confusions, of_classes, reliability
from edgekit.tasks.quality import Quality
from edgekit.tasks.statistics import paired, share
from edgekit.tasks.task import Task, only_vector
from edgekit.tasks.values import (
    Better,
    Differences,
    Disagreement,
    Measured,
    Metric,
    Nearness,
    Plausibility,
    Understood,
)
from edgekit.words import count

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgekit.calibration.images import ImageSource
    from edgekit.tasks.values import Outputs

TOP5: Final = Metric("top5", "top-5", "%", Better.HIGHER)
DROP: Final = Metric("drop", "drop of top-1", "points", Better.LOWER)
AGREEMENT: Final = Metric("agreement", "same class as float", "%", Better.HIGHER)
# Of the images, the least share with the class that the float network gives, unless the user sets another. Measured on
# ImageNet networks (docs/accuracy.md): whatever edgekit's recipes make agrees on 87 % or more, other tools' files that
# lose up to 5 points of top-1 on 82 % or more, those that lose 18 points or more on 64 % or less.
LEAST_AGREEMENT: Final = 75.0
TRUSTED: Final = 0.5  # labels count if the network agrees with so many: subfolders may be named by anything


@dataclass(frozen=True, slots=True)
class Classification(Task[tuple[int, ...]]):
    """Which of its classes an image is of. Targets are class indices, one an image.

    Attributes:
        output: the name of the logits.
        classes: how many there are.
        labels: their names, in order; empty where none are known.
    """

    name: ClassVar[str] = "classification"

    output: str
    classes: int
    labels: tuple[str, ...] = ()

    @classmethod
    def of(cls, shapes: Mapping[str, tuple[int, ...]], labels: Sequence[str], details: Mapping[str, Any]) -> Self:  # noqa: ARG003 - it needs none
        """See ``Task``."""
        output, classes = only_vector(shapes, cls.name, "classes")
        return cls(output, classes, tuple(labels))

    @property
    def things(self) -> int:
        """The classes."""
        return self.classes

    @property
    def outputs(self) -> tuple[str, ...]:
        """The logits."""
        return (self.output,)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Top-1 and top-5."""
        return TOP1, TOP5

    @property
    def dropped(self) -> Metric:
        """The drop of top-1."""
        return DROP

    @property
    def nearness(self) -> Nearness:
        """The share of images with the class that float names."""
        return Nearness(AGREEMENT, LEAST_AGREEMENT, "it names the class that float names on {} of the images")

    def check(self, images: ImageSource) -> None:
        """Refuse what is no class index of a network of so many classes; places among folders are read later."""
        if images.unread_labels is not None:
            raise DataError(images.unread_labels)
        if images.labels is not None and images.class_names is None:
            labels.check(images.labels, self.classes)

    def targets(self, images: ImageSource, outputs: Outputs) -> Understood[tuple[int, ...]]:
        """Class indices: as they are given, by the names of folders, or as the network's answers show them."""
        there = None if images.source is None or images.labels else lying_in(images.source)
        if there is not None and there[0] != self.name:
            because = f"{images.source} has {there[1]}, and nothing says of what class an image is"
            return Understood(None, labels.unknown(because).fact)
        found = labels.understand(images.labels or (), images.class_names, self.labels, outputs[self.output])
        return Understood(found.classes or None, found.fact)

    def measure(self, outputs: Outputs, targets: tuple[int, ...]) -> tuple[Measured, ...]:
        """Of the images, those whose label has the highest logit, or one of the five highest."""
        found = accuracy.measure(outputs[self.output], targets)
        return Measured(TOP1, 100 * found.top1), Measured(TOP5, 100 * found.top5)

    def drop(self, found: Outputs, expected: Outputs, targets: tuple[int, ...]) -> Measured:
        """Percentage points of top-1; only images on which one is right and the other wrong make it uncertain."""
        right, were_right = (
            (outputs[self.output].argmax(1) == np.asarray(targets)).astype(np.float64) for outputs in (found, expected)
        )
        drop = paired(100 * (were_right - right))
        return Measured(DROP, drop.value, drop.low, drop.high)

    def agreement(self, found: Outputs, expected: Outputs) -> Measured:
        """Of the images, those whose highest logit is that of the same class."""
        images = len(found[self.output])
        alike = share(accuracy.agreement(found[self.output], expected[self.output]), max(images, 1))
        return Measured(AGREEMENT, 100 * alike.value, 100 * alike.low, 100 * alike.high)

    def trusts(self, outputs: Outputs, targets: tuple[int, ...]) -> bool:
        """Whether half of the images are of the class that the network names."""
        return accuracy.measure(outputs[self.output], targets).top1 >= TRUSTED

    def plausible(self, outputs: Outputs, targets: tuple[int, ...]) -> Plausibility:
        """Whether the network is as good as it takes itself to be."""
        logits = outputs[self.output]
        return judged(accuracy.measure(logits, targets), accuracy.confidence(logits), logits.shape[1])

    def quality(self, outputs: Outputs, targets: tuple[int, ...], names: Sequence[str]) -> Quality:
        """Each class, what it is taken for, and whether the network is right as often as it says."""
        logits, called = outputs[self.output], class_names(self.classes, self.labels)
        return Quality(
            self.measure(outputs, targets),
            of_classes(confusion_matrix(logits, targets), called),
            confusions(logits, targets, called, names),
            reliability(logits, targets),
        )

    def decode(self, outputs: Outputs, most: int = 5) -> tuple[Classes, ...]:
        """The most probable classes of each image; the probabilities are the soft-max of the logits."""
        return answers(outputs[self.output], class_names(self.classes, self.labels), most)

    def stated(self, targets: tuple[int, ...]) -> tuple[Classes, ...]:
        """The right classes."""
        names = class_names(self.classes, self.labels)
        return tuple(of_class(index, names) for index in targets)

    def differences(self, found: Outputs, expected: Outputs, names: Sequence[str]) -> Differences:
        """Where another class is named, the most frequent pairs first."""
        called = class_names(self.classes, self.labels)
        pairs: dict[tuple[int, int], list[str]] = defaultdict(list)
        for name, right, given in zip(
            names, expected[self.output].argmax(1), found[self.output].argmax(1), strict=True
        ):
            if right != given:
                pairs[int(right), int(given)].append(name)
        ordered = sorted(pairs.items(), key=lambda item: (-len(item[1]), item[0]))
        differing, images = sum(map(len, pairs.values())), count(len(names), "image")
        sentence = (
            f"int8 names another class than float on {differing:,} of {images}."
            if differing
            else f"int8 and float name the same class on all {images}."
        )
        found_pairs = (Disagreement(called[right], called[given], tuple(of)) for (right, given), of in ordered)
        return Differences(sentence, tuple(found_pairs), called)
