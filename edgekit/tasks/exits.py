"""Exits of one classifier: an image has the answer of the first exit that is sure of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import numpy as np

from edgekit.device.exits import ExitRule
from edgekit.errors import ConfigError
from edgekit.models.head_tasks import EXITS
from edgekit.tasks.classification import Classification
from edgekit.tasks.classification.answers import Classes, probabilities
from edgekit.tasks.classification.plausibility import TOP1
from edgekit.tasks.task import Task

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgekit.calibration.images import ImageSource
    from edgekit.integer_model import IntegerModel
    from edgekit.tasks.values import Differences, Measured, Metric, Nearness, Outputs, Plausibility, Understood

_ANSWER: Final = "logits"  # of the exit that each image takes


@dataclass(frozen=True, slots=True)
class Exit:
    """A classifier that images may leave the network from.

    Attributes:
        name: of its head.
        output: of its logits.
        temperature: what these are divided by.
        confidence: from which on an image leaves; None where none does.
        rule: the same of integers; None where nothing is quantized.
    """

    name: str
    output: str
    temperature: float
    confidence: float | None
    rule: ExitRule | None

    def leaves(self, logits: NDArray[Any]) -> NDArray[np.bool_]:
        """Which images leave here if they come so far, [N], by logits [N, classes] in real units."""
        if self.confidence is None:
            return np.zeros(len(logits), np.bool_)
        if self.rule is not None:
            left: NDArray[np.bool_] = self.rule.leaves(logits)
            return left
        sure: NDArray[np.bool_] = probabilities(logits / self.temperature).max(1) >= self.confidence
        return sure


@dataclass(frozen=True, slots=True)
class Exited(Classes):
    """The classes that an image may be of, as the exit that it took says.

    Attributes:
        exit: its name; "" of what is known to be right.
    """

    exit: str

    @property
    def lines(self) -> tuple[str, ...]:
        """Each class with its probability, the first with the exit."""
        first, *others = Classes.lines.__get__(self)
        return (f"{first} (left at {self.exit})" if self.exit else first, *others)


@dataclass(frozen=True, slots=True)
class Exits(Task[tuple[int, ...]]):
    """Classification by the exit that each image takes; targets are its own.

    Attributes:
        exits: from the image on; the last one takes what no other does.
        answer: what is asked of the logits of the exit taken.
    """

    name: ClassVar[str] = EXITS

    exits: tuple[Exit, ...]
    answer: Classification

    @classmethod
    def of(cls, shapes: Mapping[str, tuple[int, ...]], labels: Sequence[str], details: Mapping[str, Any]) -> Self:
        """See ``Task``; of the details it reads the heads."""
        from edgekit.tasks.registry import HEADS, RULE  # noqa: PLC0415 - it finds this module, too

        heads = details.get(HEADS)
        sizes = set(shapes.values())
        if not heads or len(heads) != len(shapes) or len(sizes) != 1 or len(next(iter(sizes))) != 1:
            found = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
            raise ConfigError(
                f"the task is exits, which reads logits of the same classes from each exit that the network says it "
                f"has, and there is {found}"
            )
        rules = {rule.output: rule for head in heads if RULE in head for rule in [ExitRule.from_dict(head[RULE])]}
        exits = tuple(
            Exit(head["name"], output, head["temperature"], head["confidence"], rules.get(output))
            for head, output in zip(heads, shapes, strict=True)
        )
        ((classes,),) = sizes
        return cls(exits, Classification(_ANSWER, classes, tuple(labels)))

    @property
    def things(self) -> int:
        """The classes."""
        return self.answer.classes

    @property
    def outputs(self) -> tuple[str, ...]:
        """The logits of each exit."""
        return tuple(one.output for one in self.exits)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Those of the answers, and how good each exit alone is."""
        return (*self.answer.metrics, *map(_of_exit, self.exits))

    @property
    def dropped(self) -> Metric:
        """The drop of top-1."""
        return self.answer.dropped

    @property
    def nearness(self) -> Nearness:
        """The share of images with the class that float names."""
        return self.answer.nearness

    def taken(self, outputs: Outputs) -> NDArray[np.intp]:
        """The place of the exit that each image takes, [N]."""
        left = [one.leaves(outputs[one.output]) for one in self.exits[:-1]]
        found: NDArray[np.intp] = np.stack([*left, np.ones(len(outputs[self.outputs[-1]]), np.bool_)]).argmax(0)
        return found

    def answers(self, outputs: Outputs) -> Outputs:
        """The logits of the exit that each image takes, over its temperature: their soft-max is how sure it is."""
        everything = np.stack([outputs[one.output] / one.temperature for one in self.exits])
        return {_ANSWER: everything[self.taken(outputs), np.arange(everything.shape[1])]}

    def check(self, images: ImageSource) -> None:
        """As of classification."""
        self.answer.check(images)

    def targets(self, images: ImageSource, outputs: Outputs) -> Understood[tuple[int, ...]]:
        """Class indices."""
        return self.answer.targets(images, self.answers(outputs))

    def measure(self, outputs: Outputs, targets: tuple[int, ...]) -> tuple[Measured, ...]:
        """Top-1 and top-5 of the answers, and top-1 of each exit on all images."""
        alone = [
            replace(self.answer.measure({_ANSWER: outputs[one.output]}, targets)[0], metric=_of_exit(one))
            for one in self.exits
        ]
        return (*self.answer.measure(self.answers(outputs), targets), *alone)

    def drop(self, found: Outputs, expected: Outputs, targets: tuple[int, ...]) -> Measured:
        """Percentage points of top-1 of the answers."""
        return self.answer.drop(self.answers(found), self.answers(expected), targets)

    def agreement(self, found: Outputs, expected: Outputs) -> Measured:
        """Of the images, those with the same answer."""
        return self.answer.agreement(self.answers(found), self.answers(expected))

    def trusts(self, outputs: Outputs, targets: tuple[int, ...]) -> bool:
        """Whether half of the images are of the class that is answered."""
        return self.answer.trusts(self.answers(outputs), targets)

    def plausible(self, outputs: Outputs, targets: tuple[int, ...]) -> Plausibility:
        """Whether the network is as good as it takes itself to be."""
        return self.answer.plausible(self.answers(outputs), targets)

    def by_class(self, outputs: Outputs, targets: tuple[int, ...]) -> dict[str, float]:
        """As of classification."""
        return self.answer.by_class(self.answers(outputs), targets)

    def decode(self, outputs: Outputs, most: int = 5) -> tuple[Exited, ...]:
        """The most probable classes of each image, by the exit that it takes."""
        found = self.answer.decode(self.answers(outputs), most)
        return tuple(
            Exited(one.best, self.exits[place].name) for place, one in zip(self.taken(outputs), found, strict=True)
        )

    def stated(self, targets: tuple[int, ...]) -> tuple[Exited, ...]:
        """The right classes."""
        return tuple(Exited(one.best, "") for one in self.answer.stated(targets))

    def differences(self, found: Outputs, expected: Outputs, names: Sequence[str]) -> Differences:
        """Where another class is answered."""
        return self.answer.differences(self.answers(found), self.answers(expected), names)


def with_rules(model: IntegerModel) -> IntegerModel:
    """The model; where it has exits, its provenance says when integers let an image leave."""
    from edgekit.tasks.registry import heads_of  # noqa: PLC0415 - it finds this module, too

    heads = [head for head in heads_of(model.provenance) if head["task"] == EXITS]
    tensors = {output.name: output.tensor for output in model.graph.outputs}
    named = [(head, model.params.get(tensors.get(head["name"], ""))) for head in heads]
    if not any(head["confidence"] is not None for head in heads):
        return model
    rules = [
        ExitRule.of(head["name"], float(params.scale[0]), head["temperature"], head["confidence"]).to_dict()
        for head, params in named
        if params is not None
    ]
    return replace(model, provenance={**model.provenance, EXITS: rules})


def _of_exit(one: Exit) -> Metric:
    return replace(TOP1, name=f"{one.name}_top1", title=f"{TOP1.title} of {one.name}")
