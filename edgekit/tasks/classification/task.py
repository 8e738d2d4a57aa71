"""Classification: one output of logits, [N, classes]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from edgekit.errors import ConfigError
from edgekit.tasks.classification.answers import Classes, answers
from edgekit.tasks.task import Task

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgekit.tasks.values import Outputs


@dataclass(frozen=True, slots=True)
class Classification(Task):
    """Which of its classes an image is of.

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
    def of(cls, shapes: Mapping[str, tuple[int, ...]], labels: Sequence[str]) -> Self:
        """See ``Task``."""
        if len(shapes) != 1 or any(len(shape) != 1 for shape in shapes.values()):
            found = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
            raise ConfigError(f"the task is classification, which reads one output of [classes], and there is {found}")
        ((output, (classes,)),) = shapes.items()
        return cls(output, classes, tuple(labels))

    def decode(self, outputs: Outputs, most: int = 5) -> tuple[Classes, ...]:
        """The most probable classes of each image; the probabilities are the soft-max of the logits."""
        return answers(outputs[self.output], self.labels, most)
