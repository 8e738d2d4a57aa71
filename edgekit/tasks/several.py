"""Several tasks on one backbone: each head has its own, and all of them are asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import numpy as np

from edgekit.annotations.reading import images_of
from edgekit.annotations.targets import Targets
from edgekit.errors import ConfigError, DataError
from edgekit.facts import Basis, Fact
from edgekit.models.task_architecture import outputs_by_head
from edgekit.tasks.classification import Classification
from edgekit.tasks.regression import R2
from edgekit.tasks.tables import classes
from edgekit.tasks.task import Task
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

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.calibration.images import ImageSource
    from edgekit.tasks.values import Outputs

MEAN: Final = Metric("mean", "mean of the heads", "%", Better.HIGHER)
DROP: Final = Metric("drop", "drop of the worst head", "points", Better.LOWER)
AGREEMENT: Final = Metric("agreement", "agreement with float of the worst head", "%", Better.HIGHER)


@dataclass(frozen=True, slots=True)
class Head:
    """A head and its task.

    Attributes:
        name: of the head.
        task: of it alone.
        outputs: what the network calls its outputs, by what the task calls them.
    """

    name: str
    task: Task[Any]
    outputs: tuple[tuple[str, str], ...]

    def own(self, outputs: Outputs, places: Sequence[int] | None = None) -> Outputs:
        """What it gives for all images, or for those at some places, by the names that its task knows."""
        found = {name: outputs[called] for name, called in self.outputs}
        return found if places is None else {name: values[places] for name, values in found.items()}

    def named(self, metric: Metric) -> Metric:
        """A metric of its task as one of the whole network."""
        return replace(metric, name=f"{self.name}_{metric.name}", title=f"{metric.title} of {self.name}")


@dataclass(frozen=True, slots=True)
class Together(Answer):
    """What all heads say of an image.

    Attributes:
        answers: by the head's name.
    """

    answers: Mapping[str, Answer]

    @property
    def text(self) -> str:
        """Each head's answer in a few words."""
        return "; ".join(f"{name}: {answer.text}" for name, answer in self.answers.items())

    @property
    def lines(self) -> tuple[str, ...]:
        """All that each head says."""
        return tuple(f"{name}: {line}" for name, answer in self.answers.items() for line in answer.lines)

    def contradicts(self, right: Answer) -> bool:
        """Whether any head is wrong, of those of which it is known what is right."""
        assert isinstance(right, Together)
        return any(self.answers[name].contradicts(answer) for name, answer in right.answers.items())


@dataclass(frozen=True, slots=True)
class Several(Task[Mapping[str, Any]]):
    """Each head for itself.

    Targets are those of each head of which any are known, by its name: one an image, None or a row of NaN where
    nothing is known of it.

    Attributes:
        heads: in the order of the network's labels.
    """

    name: ClassVar[str] = "several"

    heads: tuple[Head, ...]

    @classmethod
    def of(cls, shapes: Mapping[str, tuple[int, ...]], labels: Sequence[str], details: Mapping[str, Any]) -> Self:
        """See ``Task``; of the details it reads the heads."""
        from edgekit.tasks.registry import HEADS, kind, labels_by_head  # noqa: PLC0415 - it finds this module, too

        if not details.get(HEADS):
            raise ConfigError(
                "the task is several, and nothing says what heads the network has: they are read from checkpoints of "
                "networks that edgekit builds"
            )
        outputs = outputs_by_head([head["name"] for head in details[HEADS]], shapes)
        named, heads = labels_by_head(labels, details[HEADS]), list[Head]()
        for head in details[HEADS]:
            name, called = head["name"], outputs[head["name"]]
            task = kind(head["task"]).of({one: shapes[by] for one, by in called.items()}, named[name], head)
            heads.append(Head(name, task, tuple(called.items())))
        return cls(tuple(heads))

    @property
    def things(self) -> int:
        """Those of all heads."""
        return sum(head.task.things for head in self.heads)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Those of all heads, as the network calls them."""
        return tuple(called for head in self.heads for _, called in head.outputs)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The mean of the heads, and those of all heads, with the head's name in front."""
        return (MEAN, *(head.named(metric) for head in self.heads for metric in head.task.metrics))

    @property
    def dropped(self) -> Metric:
        """The drop of the head that loses most."""
        return DROP

    @property
    def nearness(self) -> Nearness:
        """That of the head that is least near."""
        least = min(head.task.nearness.least for head in self.heads)
        return Nearness(AGREEMENT, least, "one of its heads agrees with float by {} alone")

    def check(self, images: ImageSource) -> None:
        """Look at what each head may find."""
        for head in self.heads:
            head.task.check(images)

    def targets(self, images: ImageSource, outputs: Outputs) -> Understood[Mapping[str, Any]]:
        """Those of each head that finds some; whoever finds none is not measured."""
        found = {
            head.name: _classes_beside(images, head.task) or head.task.targets(images, head.own(outputs))
            for head in self.heads
        }
        known = {name: one.targets for name, one in found.items() if one.targets is not None}
        lacking = [name for name in found if name not in known]
        facts = [found[name].fact for name in lacking or found]
        setting = "; or ".join(dict.fromkeys(fact.setting for fact in facts if fact is not None))
        if not known:
            because = "nothing lies beside the images that any head reads, so no head is measured"
            return Understood(None, Fact(TARGETS, "unknown", Basis.ASSUMED, because, setting))
        because = f"what lies beside the images is for {', '.join(known)}"
        if lacking:
            because += f"; nothing is for {', '.join(lacking)}, so no accuracy of that is measured"
        basis = Basis.ASSUMED if lacking else Basis.GIVEN
        return Understood(known, Fact(TARGETS, ", ".join(known), basis, because, setting))

    def measure(self, outputs: Outputs, targets: Mapping[str, Any]) -> tuple[Measured, ...]:
        """What each head measures on the images of which its targets are known, and before that their mean.

        The mean is of the first metric of each head that is measured in percent; of numbers, it is 100 R², at least 0.
        """
        each = [(head, head.task.measure(head.own(outputs, places), own)) for head, places, own in self._known(targets)]
        merits = [merit for _, measured in each if (merit := _merit(measured)) is not None]
        mean = (Measured(MEAN, sum(merits) / len(merits)),) if merits else ()
        return (*mean, *(replace(one, metric=head.named(one.metric)) for head, measured in each for one in measured))

    def by_class(self, outputs: Outputs, targets: Mapping[str, Any]) -> dict[str, float]:
        """Those of each head, with its name in front."""
        return {
            f"{head.name}: {label}": value
            for head, places, own in self._known(targets)
            for label, value in head.task.by_class(head.own(outputs, places), own).items()
        }

    def drop(self, found: Outputs, expected: Outputs, targets: Mapping[str, Any]) -> Measured:
        """The largest of the heads', of those that measure it in points; 0 where none does."""
        drops = [
            head.task.drop(head.own(found, places), head.own(expected, places), own)
            for head, places, own in self._known(targets)
            if head.task.dropped.unit == DROP.unit
        ]
        return max((replace(one, metric=DROP) for one in drops), key=lambda one: one.value, default=Measured(DROP, 0.0))

    def agreement(self, found: Outputs, expected: Outputs) -> Measured:
        """The least of the heads'."""
        each = (head.task.agreement(head.own(found), head.own(expected)) for head in self.heads)
        return replace(min(each, key=lambda one: one.value), metric=AGREEMENT)

    def trusts(self, outputs: Outputs, targets: Mapping[str, Any]) -> bool:
        """Whether each head answers what its targets say."""
        return all(head.task.trusts(head.own(outputs, places), own) for head, places, own in self._known(targets))

    def plausible(self, outputs: Outputs, targets: Mapping[str, Any]) -> Plausibility:
        """Whether each head is; the first that is not is named, else all that was measured."""
        found = [
            (head.name, head.task.plausible(head.own(outputs, places), own))
            for head, places, own in self._known(targets)
        ]
        poor = next(((name, one) for name, one in found if one.problem), None)
        if poor is not None:
            name, one = poor
            return replace(one, name=f"{one.name} ({name})")
        measured, limit = (
            "; ".join(f"{name}: {text}" for name, text in texts)
            for texts in (
                [(name, one.measured) for name, one in found],
                [(name, one.limit) for name, one in found],
            )
        )
        return Plausibility("the float network's own heads", measured, limit, "")

    def decode(self, outputs: Outputs, most: int = 5) -> tuple[Together, ...]:
        """What each head says."""
        return self._together({head.name: head.task.decode(head.own(outputs), most) for head in self.heads})

    def stated(self, targets: Mapping[str, Any]) -> tuple[Together, ...]:
        """What the targets of each head say, of the images of which they are known."""
        stated: dict[str, Sequence[Answer | None]] = {}
        for head, places, own in self._known(targets):
            answers: list[Answer | None] = [None] * len(targets[head.name])
            for place, answer in zip(places, head.task.stated(own), strict=True):
                answers[place] = answer
            stated[head.name] = answers
        return self._together(stated)

    def differences(self, found: Outputs, expected: Outputs, names: Sequence[str]) -> Differences:
        """Those of each head, by turns."""
        each = [(h.name, h.task.differences(h.own(found), h.own(expected), names)) for h in self.heads]
        sentence = " ".join(f"{name}: {one.sentence}" for name, one in each)
        turns = zip_longest(
            *(
                [Disagreement(f"{name}: {pair.expected}", pair.found, pair.images) for pair in one.disagreements]
                for name, one in each
            )
        )
        return Differences(
            sentence,
            tuple(pair for turn in turns for pair in turn if pair is not None),
            points=tuple(replace(p, name=f"{p.name} ({name})") for name, one in each for p in one.points),
        )

    def _known(self, targets: Mapping[str, Any]) -> list[tuple[Head, list[int], Any]]:
        """The heads of which targets are known, the places of the images where they are, and these targets."""
        found = []
        for head in self.heads:
            if head.name in targets:
                own = targets[head.name]
                places = _known_places(own)
                if places:
                    found.append((head, places, own if len(places) == len(own) else _some(own, places)))
        return found

    def _together(self, answers: Mapping[str, Sequence[Answer | None]]) -> tuple[Together, ...]:
        images = max(map(len, answers.values()), default=0)
        return tuple(
            Together({name: answer for name, of in answers.items() if (answer := of[image]) is not None})
            for image in range(images)
        )


def _classes_beside(images: ImageSource, task: Task[Any]) -> Understood[Any] | None:
    """The class of each image that a table beside boxes or masks says, None of those it does not say.

    Raises:
        DataError: it names a class that the network has not.
    """
    if not isinstance(task, Classification) or images.source is None or images_of(images.source) is None:
        return None
    if (read := classes(images.source, images.names)) is None:
        return None
    column, words = read
    place = {name: index for index, name in enumerate(task.labels)}
    if unknown := [word for word in words if word is not None and word not in place]:
        raise DataError(
            f"the table beside the images says {unknown[0]!r} in {column}, and the network knows "
            f"{', '.join(task.labels) or 'no names'}"
        )
    fact = Fact(TARGETS, column, Basis.GIVEN, "the images come with classes", "a column of words in targets.csv")
    return Understood(tuple(None if word is None else place[word] for word in words), fact)


def _merit(measured: Sequence[Measured]) -> float | None:
    """How good a head is, percent; None where nothing that it measures says so."""
    for one in measured:
        if one.metric == R2:
            return max(100 * one.value, 0.0)
        if one.metric.unit == MEAN.unit and one.metric.better is Better.HIGHER:
            return one.value
    return None


def _known_places(targets: Any) -> list[int]:  # noqa: ANN401 - each task has a type of its own
    """The images of which something is known."""
    if isinstance(targets, np.ndarray) and targets.dtype.kind == "f":
        rows = targets.reshape(len(targets), -1)
        return [int(place) for place in np.flatnonzero(~np.isnan(rows).all(1))]
    if isinstance(targets, Targets):  # there is one for each image, and masks are read where they are asked for
        return list(range(len(targets)))
    return [place for place, target in enumerate(targets) if target is not None]


def _some(targets: Any, places: Sequence[int]) -> Any:  # noqa: ANN401 - likewise
    if isinstance(targets, np.ndarray):
        return targets[places]
    return tuple(targets[place] for place in places)
