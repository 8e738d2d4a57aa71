"""Detection: codings of boxes and logits of classes for every prior box, and what is seen in an image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import numpy as np

from edgekit.annotations.boxes import Boxes, overlap
from edgekit.device import detections as final
from edgekit.errors import ConfigError
from edgekit.facts import Basis, Fact
from edgekit.models.priors import Priors
from edgekit.suppression import USUAL, Detections, Suppression, detected, suppress
from edgekit.tasks.annotated import beside, lacking
from edgekit.tasks.classification.answers import class_names
from edgekit.tasks.detection.answers import Things, labelled, missing, things
from edgekit.tasks.detection.coding import decode, probabilities
from edgekit.tasks.detection.errors import errors_of
from edgekit.tasks.detection.precision import (
    THRESHOLDS,
    Hits,
    average_precisions,
    drop,
    hits,
    mean_over_classes,
)
from edgekit.tasks.quality import OfClass, Quality, worst_first
from edgekit.tasks.statistics import share
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
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edgekit.calibration.images import ImageSource
    from edgekit.tasks.values import Outputs

BOXES: Final = "boxes"  # the output of codings, [A, 4]
SCORES: Final = "scores"  # the output of logits, [A, 1 + classes]
CORNERS: Final = "corners"  # in place of the former, where a file decodes boxes itself, (left, top, right, bottom)
PROBABILITIES: Final = "probabilities"  # in place of the latter, likewise
FINAL: Final = (
    final.BOXES,
    final.CLASSES,
    final.SCORES,
    final.NUMBER,
)  # in place of these, where suppression is in the file, too
PRIORS: Final = "priors"  # of the details that a network carries
MAP50: Final = Metric("map50", "mAP at IoU 0.5", "%", Better.HIGHER)
MAP: Final = Metric("map", "mAP at IoU 0.5 to 0.95", "%", Better.HIGHER)
DROP: Final = Metric("drop", "drop of mAP at IoU 0.5", "points", Better.LOWER)
AGREEMENT: Final = Metric("agreement", "boxes of float found again", "%", Better.HIGHER)
LEAST_AGREEMENT: Final = 75.0  # as of classes: percent, unless the user sets another
SURE: Final = 0.3  # the score from which on a box is shown, and counts where two networks are compared
FOUND_AGAIN: Final = 0.9  # the intersection over union at which a box of the other network is the same one
TRUSTED: Final = 0.2  # mAP50 of a network that was trained on such boxes: SSDLite reaches 0.34 on COCO
SETTING: Final = "boxes beside the images: COCO's JSON, PASCAL VOC's XML, or YOLO's text files"
_LOST: Final = SURE / 2  # below this score a box of float is not found again: it may fall below SURE by a little
_PAIR: Final = (0.5,)  # the threshold of ``MAP50``
_ENOUGH: Final = 10  # boxes from which a share says something


@dataclass(frozen=True, slots=True)
class Detection(Task[Sequence[Boxes]]):
    """Where things are in an image, and of what class. Targets are the boxes of each image.

    Attributes:
        classes: how many there are, without the background.
        priors: what boxes are relative to.
        labels: names of the classes, in order; empty where none are known.
        rule: which boxes stay; that of a file that suppresses others itself is in the file.
        outputs: codings and logits; or corners and probabilities, where the network decodes them itself; or ``FINAL``.
    """

    name: ClassVar[str] = "detection"

    classes: int
    priors: Priors
    labels: tuple[str, ...] = ()
    rule: Suppression = USUAL
    outputs: tuple[str, ...] = (BOXES, SCORES)

    @classmethod
    def of(cls, shapes: Mapping[str, tuple[int, ...]], labels: Sequence[str], details: Mapping[str, Any]) -> Self:
        """See ``Task``; of the details it reads the prior boxes."""
        if PRIORS not in details:
            raise ConfigError(
                "the task is detection, and nothing says what prior boxes the network's boxes are relative to: they "
                "are read from checkpoints of detectors that edgekit builds"
            )
        priors = Priors.from_dict(details[PRIORS])
        if set(shapes) == set(FINAL):
            return cls(details["things"], priors, tuple(labels), outputs=FINAL)
        outputs = (CORNERS, PROBABILITIES) if CORNERS in shapes else (BOXES, SCORES)
        boxes, scores = (shapes.get(name, ()) for name in outputs)
        background = outputs == (BOXES, SCORES)
        is_detector = boxes == (priors.count, 4) and len(scores) == 2 and scores[0] == priors.count
        if not is_detector or len(shapes) != 2 or scores[1] <= background:
            found = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
            raise ConfigError(
                f"the task is detection, which reads {BOXES} [{priors.count}, 4] and {SCORES} [{priors.count}, 1 + "
                f"classes], and there is {found}"
            )
        return cls(scores[1] - background, priors, tuple(labels), outputs=outputs)

    @property
    def things(self) -> int:
        """The classes, without the background."""
        return self.classes

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Mean average precision at an intersection over union of 0.5, and as the mean over 0.5, 0.55, …, 0.95."""
        return MAP50, MAP

    @property
    def dropped(self) -> Metric:
        """The drop of the first."""
        return DROP

    @property
    def nearness(self) -> Nearness:
        """Of the boxes of which float is sure, the share that is found again."""
        return Nearness(AGREEMENT, LEAST_AGREEMENT, "it finds {} of float's boxes, of the same class at IoU 0.9")

    def check(self, images: ImageSource) -> None:
        """Read the boxes once, so that what is wrong with them is said first."""
        self._beside(images)

    def targets(self, images: ImageSource, outputs: Outputs) -> Understood[Sequence[Boxes]]:  # noqa: ARG002 - boxes are what they are
        """The boxes that lie beside the images."""
        found = self._beside(images)
        if found is None:
            because = lacking(images, "boxes", "mAP")
            return Understood(None, Fact(TARGETS, "unknown", Basis.ASSUMED, because, SETTING))
        return Understood(found, Fact(TARGETS, "boxes", Basis.GIVEN, "the images come with boxes", SETTING))

    def measure(self, outputs: Outputs, targets: Sequence[Boxes]) -> tuple[Measured, ...]:
        """COCO's average precision, the mean over the classes that occur (``precision``)."""
        found = mean_over_classes(average_precisions(self._hits(outputs, targets, THRESHOLDS)))
        return Measured(MAP50, 100 * float(found[0, 0])), Measured(MAP, 100 * float(found.mean()))

    def by_class(self, outputs: Outputs, targets: Sequence[Boxes]) -> dict[str, float]:
        """Average precision at IoU 0.5 of each class that is there."""
        found = average_precisions(self._hits(outputs, targets, _PAIR))[:, 0, 0]
        return {self._names[index]: 100 * float(found[index]) for index in np.flatnonzero(~np.isnan(found))}

    def drop(self, found: Outputs, expected: Outputs, targets: Sequence[Boxes]) -> Measured:
        """Percentage points of mAP at 0.5; the interval is that of resampled images (``precision.drop``)."""
        ours, theirs = (self._hits(outputs, targets, _PAIR) for outputs in (found, expected))
        lost = drop(ours, theirs)
        return Measured(DROP, 100 * lost.value, 100 * lost.low, 100 * lost.high)

    def agreement(self, found: Outputs, expected: Outputs) -> Measured:
        """Of the other network's boxes from ``SURE`` on, those that are here at IoU 0.9; 100 where there is none."""
        again = [
            _is_again(theirs.some(theirs.scores >= SURE), ours.some(ours.scores >= _LOST))
            for ours, theirs in zip(self.detections(found), self.detections(expected), strict=True)
        ]
        alike = np.concatenate(again)
        if not len(alike):
            return Measured(AGREEMENT, 100.0)
        of_all = share(float(alike.mean()), len(alike))
        return Measured(AGREEMENT, 100 * of_all.value, 100 * of_all.low, 100 * of_all.high)

    def trusts(self, outputs: Outputs, targets: Sequence[Boxes]) -> bool:
        """Whether mAP at 0.5 is a fifth or more."""
        return self.measure(outputs, targets)[0].value >= 100 * TRUSTED

    def plausible(self, outputs: Outputs, targets: Sequence[Boxes]) -> Plausibility:
        """Whether boxes are right half as often as their scores say, at least, and whether there are any."""
        seen = [one.some(one.scores >= SURE) for one in self.detections(outputs)]
        of = hits(seen, targets, self.classes, _PAIR)
        right = np.concatenate([one.hit[0][one.counts[0]] for one in of])
        says = float(np.mean(np.concatenate([one.scores for one in seen]))) if len(right) else SURE
        there = sum(int(one.boxes.sum()) for one in of)
        is_right = share(float(right.mean()), len(right)) if len(right) else share(0.0, 1)
        measured = f"{percent(round(is_right.value, 3))} of {len(right):,} boxes right"
        is_poor = is_right.high < says / 2 if len(right) else there >= _ENOUGH
        problem = (
            f"the float network itself sees what is not there, or nothing: {measured} where it is sure, and "
            f"{count(there, 'object')} there. Its preprocessing or padding is not what it was "
            f"trained with, these are not its boxes, or it has hardly been trained: every file of it is as wrong. "
            f"verify.limits.map50 sets what is expected, if that is right"
        )
        limit = f"more than {percent(round(says / 2, 2))}"
        return Plausibility("the float network's own boxes", measured, limit, problem if is_poor else "")

    def quality(self, outputs: Outputs, targets: Sequence[Boxes], names: Sequence[str]) -> Quality:  # noqa: ARG002 - images do not matter
        """Each class, and errors by kind."""
        there = np.bincount(
            np.concatenate([one.classes[~one.is_crowd] for one in targets]).astype(np.int64), minlength=self.classes
        )
        number = dict(zip(self._names, there.tolist(), strict=True))
        precisions = self.by_class(outputs, targets)
        return Quality(
            self.measure(outputs, targets),
            worst_first([OfClass(name, number[name], value) for name, value in precisions.items()]),
            errors=errors_of(self.detections(outputs), targets, self.classes, SURE),
        )

    def decode(self, outputs: Outputs, most: int = 5) -> tuple[Things, ...]:
        """The boxes of each image from ``SURE`` on, the most certain first."""
        return tuple(things(one.some(one.scores >= SURE), self._names, most) for one in self.detections(outputs))

    def stated(self, targets: Sequence[Boxes]) -> tuple[Things, ...]:
        """The boxes that are there."""
        return tuple(labelled(one, self._names) for one in targets)

    def differences(self, found: Outputs, expected: Outputs, names: Sequence[str]) -> Differences:
        """What one network sees and the other does not, the most frequent first."""
        alike = self.agreement(found, expected)
        pairs: dict[tuple[str, bool], list[str]] = defaultdict(list)
        for ours, theirs, name in zip(self.decode(found), self.decode(expected), names, strict=True):
            for wanted, seen, is_lost in ((theirs.seen, ours.seen, True), (ours.seen, theirs.seen, False)):
                for label in dict.fromkeys(thing.label for thing in missing(wanted, seen)):
                    pairs[label, is_lost].append(name)
        ordered = sorted(pairs.items(), key=lambda item: (-len(item[1]), item[0]))
        sentence = (
            f"int8 finds {alike.metric.text(alike.value)} of float's boxes again, on {count(len(names), 'image')}: of "
            f"the same class, with 90 % of the area in common."
        )
        return Differences(
            sentence,
            tuple(
                Disagreement(label, f"no {label} there", tuple(of))
                if is_lost
                else Disagreement(f"no {label} there", label, tuple(of))
                for (label, is_lost), of in ordered
            ),
        )

    def detections(self, outputs: Outputs) -> list[Detections]:
        """What is seen in each image: decoded, and without what better boxes overlap."""
        if self.outputs == FINAL:
            return [detected(*of_image) for of_image in zip(*(outputs[name] for name in FINAL), strict=True)]
        pairs = zip(*(outputs[name] for name in self.outputs), strict=True)
        if CORNERS in self.outputs:
            return [suppress(boxes, scores, self.rule) for boxes, scores in pairs]
        priors = self.priors.boxes
        return [suppress(decode(codings, priors), probabilities(logits), self.rule) for codings, logits in pairs]

    @property
    def _names(self) -> tuple[str, ...]:
        return class_names(self.classes, self.labels)

    def _beside(self, images: ImageSource) -> Sequence[Boxes] | None:
        return beside(images, self.name, self.labels, self.classes)

    def _hits(self, outputs: Outputs, targets: Sequence[Boxes], thresholds: Sequence[float]) -> tuple[Hits, ...]:
        return hits(self.detections(outputs), targets, self.classes, thresholds)


def _is_again(theirs: Detections, ours: Detections) -> NDArray[np.bool_]:
    """Whether each of the others' boxes is among ours."""
    shared = overlap(theirs.boxes.astype(np.float64), ours.boxes.astype(np.float64))
    same = (shared >= FOUND_AGAIN) & np.equal.outer(theirs.classes, ours.classes)
    found: NDArray[np.bool_] = np.logical_or.reduce(same, axis=1)
    return found
