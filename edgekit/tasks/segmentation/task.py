"""Segmentation: logits of classes for each place of a map, or classes, and the class of each pixel."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from edgekit.annotations.moving import UNKNOWN
from edgekit.errors import ConfigError
from edgekit.facts import Basis, Fact
from edgekit.tasks.annotated import beside, lacking
from edgekit.tasks.classification.answers import class_names
from edgekit.tasks.quality import OfClass, Quality, confused, worst_first
from edgekit.tasks.segmentation.answers import Regions, regions
from edgekit.tasks.segmentation.borders import by_place
from edgekit.tasks.segmentation.masks import confusion, enlarged, mask_of, mean_overlap, overlaps
from edgekit.tasks.statistics import paired, resampled
from edgekit.tasks.task import Task
from edgekit.tasks.values import (
    TARGETS,
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
    from collections.abc import Iterator, Mapping

    from edgekit.calibration.images import ImageSource
    from edgekit.tasks.values import Outputs

MIOU: Final = Metric("miou", "mIoU", "%", Better.HIGHER)
PIXELS: Final = Metric("pixels", "pixel accuracy", "%", Better.HIGHER)
DROP: Final = Metric("drop", "drop of mIoU", "points", Better.LOWER)
AGREEMENT: Final = Metric("agreement", "pixels of the same class as float", "%", Better.HIGHER)
LEAST_AGREEMENT: Final = 75.0  # as of classes: percent, unless the user sets another
TRUSTED: Final = 0.2  # mIoU of a network that was trained on such masks
SETTING: Final = "masks beside the images: a .png of class indices for each"
LOGITS: Final = "mask"  # the output of logits, [classes, h, w]
CLASSES: Final = "classes"  # in its place, where a file names classes itself, [h, w]; also the role of that
SIZE: Final = "size"  # of the details that a network carries
THINGS: Final = "things"  # likewise
_ENOUGH: Final = 10  # images from which the normal interval of a mean says something
_TELLING: Final = 0.01  # the share of an image's pixels from which on another class of them is listed


@dataclass(frozen=True, slots=True)
class Segmentation(Task[Sequence[NDArray[np.uint8]]]):
    """Of what class each pixel is. Targets are masks, [H, W] of class indices, 255 where nobody knows.

    Attributes:
        output: the name of the logits, [classes, h, w], or of the classes, [h, w].
        classes: how many there are.
        size: height and width of the image as the network sees it.
        labels: names of the classes, in order; empty where none are known.
    """

    name: ClassVar[str] = "segmentation"

    output: str
    classes: int
    size: tuple[int, int]
    labels: tuple[str, ...] = ()

    @classmethod
    def of(cls, shapes: Mapping[str, tuple[int, ...]], labels: Sequence[str], details: Mapping[str, Any]) -> Self:
        """See ``Task``; of the details it reads the size of the image, without which it takes that of the map."""
        are_classes = [*shapes] == [CLASSES] and THINGS in details
        if len(shapes) != 1 or any(len(shape) != (2 if are_classes else 3) for shape in shapes.values()):
            found = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
            raise ConfigError(
                f"the task is segmentation, which reads one output of [classes, h, w], and there is {found}"
            )
        ((output, shape),) = shapes.items()
        classes, *own = (details[THINGS], *shape) if are_classes else shape
        if not 1 < classes < UNKNOWN:
            raise ConfigError(
                f"the task is segmentation, and {output} has {classes} channels: 2 to 254 classes are read"
            )
        height, width = details.get(SIZE, own)
        return cls(output, classes, (height, width), tuple(labels))

    @property
    def things(self) -> int:
        """The classes."""
        return self.classes

    @property
    def outputs(self) -> tuple[str, ...]:
        """The logits, or the classes."""
        return (self.output,)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The mean of the classes' intersections over unions, and the share of the pixels that are right."""
        return MIOU, PIXELS

    @property
    def dropped(self) -> Metric:
        """The drop of the first."""
        return DROP

    @property
    def nearness(self) -> Nearness:
        """The share of pixels with the class that float names."""
        return Nearness(AGREEMENT, LEAST_AGREEMENT, "it names the class that float names for {} of the pixels")

    def check(self, images: ImageSource) -> None:
        """Read the masks once, so that what is wrong with them is said first."""
        self._beside(images)

    def targets(self, images: ImageSource, outputs: Outputs) -> Understood[Sequence[NDArray[np.uint8]]]:  # noqa: ARG002 - masks are what they are
        """The masks that lie beside the images."""
        found = self._beside(images)
        if found is None:
            because = lacking(images, "masks", "mIoU")
            return Understood(None, Fact(TARGETS, "unknown", Basis.ASSUMED, because, SETTING))
        return Understood(found, Fact(TARGETS, "masks", Basis.GIVEN, "the images come with masks", SETTING))

    def measure(self, outputs: Outputs, targets: Sequence[NDArray[np.uint8]]) -> tuple[Measured, ...]:
        """Over all pixels of all images that are known; the mean is that of the classes that are there or said."""
        confusions = self._confusions(outputs, targets)
        right, known = np.trace(confusions.sum(0)), confusions.sum()
        return (
            Measured(MIOU, 100 * float(mean_overlap(overlaps(confusions))[0])),
            Measured(PIXELS, 100 * float(right / max(known, 1))),
        )

    def by_class(self, outputs: Outputs, targets: Sequence[NDArray[np.uint8]]) -> dict[str, float]:
        """The intersection over union of each class that is there or said."""
        (found,) = overlaps(self._confusions(outputs, targets))
        return {self._names[index]: 100 * float(found[index]) for index in np.flatnonzero(~np.isnan(found))}

    def drop(self, found: Outputs, expected: Outputs, targets: Sequence[NDArray[np.uint8]]) -> Measured:
        """Percentage points of mIoU; the interval is that of resampled images, the same for both."""
        ours, theirs = (self._confusions(outputs, targets) for outputs in (found, expected))

        def lost(drawn: NDArray[np.int64]) -> NDArray[np.float64]:
            before, after = (mean_overlap(overlaps(of, drawn)) for of in (theirs, ours))
            return before - after

        of_all = resampled(lost, len(targets))
        return Measured(DROP, 100 * of_all.value, 100 * of_all.low, 100 * of_all.high)

    def agreement(self, found: Outputs, expected: Outputs) -> Measured:
        """Of the pixels of the images as the network sees them; the interval is that of the mean over images."""
        alike = paired(np.array([100 * (a == b).mean() for a, b in self._pairs(found, expected)]))
        return Measured(AGREEMENT, alike.value, alike.low, min(alike.high, 100.0))

    def trusts(self, outputs: Outputs, targets: Sequence[NDArray[np.uint8]]) -> bool:
        """Whether mIoU is a fifth or more."""
        return self.measure(outputs, targets)[0].value >= 100 * TRUSTED

    def plausible(self, outputs: Outputs, targets: Sequence[NDArray[np.uint8]]) -> Plausibility:
        """Whether the network is right for more pixels than whoever says the most frequent class everywhere."""
        confusions = self._confusions(outputs, targets)
        there = confusions.sum(2)
        usual = int(there.sum(0).argmax())
        known = np.maximum(there.sum(1), 1)
        right, by_guess = np.trace(confusions, axis1=1, axis2=2) / known, there[:, usual] / known
        limit = f"more than {percent(round(float(by_guess.mean()), 3))}"
        measured = f"{percent(round(float(right.mean()), 3))} of the pixels"
        is_poor = len(right) >= _ENOUGH and paired(by_guess - right).low >= 0
        problem = (
            f"the float network itself is no better than a constant: it is right for {measured}, and "
            f"{self._names[usual]!r} everywhere would be for {percent(round(float(by_guess.mean()), 3))}. Its "
            f"preprocessing or padding is not what it was trained with, these are not its masks, or it has hardly been "
            f"trained: every file of it is as wrong. verify.limits.miou sets what is expected, if that is right"
        )
        return Plausibility("the float network's own masks", measured, limit, problem if is_poor else "")

    def quality(self, outputs: Outputs, targets: Sequence[NDArray[np.uint8]], names: Sequence[str]) -> Quality:  # noqa: ARG002 - images do not matter
        """Each class, what its pixels are taken for, and whether errors lie at borders."""
        matrix = self._confusions(outputs, targets).sum(0)
        number = dict(zip(self._names, matrix.sum(1).tolist(), strict=True))
        shares = self.by_class(outputs, targets)
        said = (
            (mask, _mask(values, (mask.shape[0], mask.shape[1])))
            for values, mask in zip(outputs[self.output], targets, strict=True)
        )
        return Quality(
            self.measure(outputs, targets),
            worst_first([OfClass(name, number[name], value) for name, value in shares.items()]),
            confused(matrix, self._names),
            errors=by_place(said),
        )

    def decode(self, outputs: Outputs, most: int = 5) -> tuple[Regions, ...]:
        """The class of each pixel, and how much each class covers."""
        return tuple(regions(mask, self._names, most) for mask in self._masks(outputs))

    def stated(self, targets: Sequence[NDArray[np.uint8]]) -> tuple[Regions, ...]:
        """The masks that are there."""
        return tuple(regions(mask, self._names, self.classes) for mask in targets)

    def differences(self, found: Outputs, expected: Outputs, names: Sequence[str]) -> Differences:
        """Which classes are named for each other on a hundredth of an image or more, in the most images first."""
        pairs: dict[tuple[int, int], list[str]] = defaultdict(list)
        alike = []
        for (ours, theirs), name in zip(self._pairs(found, expected), names, strict=True):
            shares = confusion(theirs, ours, self.classes) / ours.size
            alike.append(float(np.trace(shares)))
            np.fill_diagonal(shares, 0)
            for right, given in np.argwhere(shares >= _TELLING).tolist():
                pairs[right, given].append(name)
        ordered = sorted(pairs.items(), key=lambda item: (-len(item[1]), item[0]))
        called, worst = self._names, int(np.argmin(alike))
        sentence = (
            f"int8 and float name the same class for {percent(float(np.mean(alike)))} of the pixels of "
            f"{count(len(names), 'image')}; for {percent(alike[worst])} of {names[worst]}, which has the fewest."
        )
        return Differences(
            sentence, tuple(Disagreement(called[right], called[given], tuple(of)) for (right, given), of in ordered)
        )

    @property
    def _names(self) -> tuple[str, ...]:
        return class_names(self.classes, self.labels)

    def _beside(self, images: ImageSource) -> Sequence[NDArray[np.uint8]] | None:
        return beside(images, self.name, self.labels, self.classes)

    def _masks(self, outputs: Outputs) -> Iterator[NDArray[np.uint8]]:
        """Of each image as the network sees it."""
        return (_mask(values, self.size) for values in outputs[self.output])

    def _pairs(self, found: Outputs, expected: Outputs) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
        """The masks of two networks, image by image: all at once, they are much memory."""
        return zip(self._masks(found), self._masks(expected), strict=True)

    def _confusions(self, outputs: Outputs, targets: Sequence[NDArray[np.uint8]]) -> NDArray[np.int64]:
        """Of each image, at the size of its mask, [N, classes, classes]."""
        return np.stack(
            [
                confusion(mask, _mask(values, (mask.shape[0], mask.shape[1])), self.classes)
                for values, mask in zip(outputs[self.output], targets, strict=True)
            ]
        )


def _mask(values: NDArray[Any], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The class of each pixel, from logits or from classes; ``size`` is (H, W)."""
    return enlarged(values, size) if values.ndim == 2 else mask_of(values, size)
