"""What a network is for, as a value: what its outputs mean, and what is measured and shown of them.

Whatever depends on it is asked of a ``Task``. One kind of task is one module or folder beside this one, and one line in
``registry.py``.

Outputs come by name, in real units, whatever their shapes: logits [N, classes], boxes [N, boxes, 4] beside scores, a
map [N, C, H, W]. Targets are whatever a task makes of what lies beside the images; nobody else looks into them. A
network with several heads has a task for each, and ``scoring`` is where they come together.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

from edgekit.errors import ConfigError
from edgekit.tasks.quality import Quality

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgekit.calibration.images import ImageSource
    from edgekit.tasks.values import Answer, Differences, Measured, Metric, Nearness, Outputs, Plausibility, Understood

T = TypeVar("T")


class Task(ABC, Generic[T]):
    """What one network is for, with targets of the type ``T``; each kind is a frozen class that knows its outputs."""

    __slots__ = ()

    name: ClassVar[str]  # as --task takes it

    @classmethod
    @abstractmethod
    def of(cls, shapes: Mapping[str, tuple[int, ...]], labels: Sequence[str], details: Mapping[str, Any]) -> Self:
        """The task of a network.

        Args:
            shapes: of its outputs for one image, by name: [classes] of logits, [C, H, W] of a feature map.
            labels: names of what it tells apart, in order; empty where none are known.
            details: of the head that gives these outputs, JSON values; empty of a network without heads.

        Raises:
            ConfigError: such outputs are of another task.
        """

    @property
    @abstractmethod
    def things(self) -> int:
        """How many things labels name: classes, or numbers."""

    @property
    @abstractmethod
    def outputs(self) -> tuple[str, ...]:
        """The names of the outputs that it reads."""

    @property
    @abstractmethod
    def metrics(self) -> tuple[Metric, ...]:
        """What ``measure`` measures; the first is the one that a network is judged by."""

    @property
    @abstractmethod
    def dropped(self) -> Metric:
        """What ``drop`` measures."""

    @property
    @abstractmethod
    def nearness(self) -> Nearness:
        """What ``agreement`` measures."""

    # --- targets

    @abstractmethod
    def check(self, images: ImageSource) -> None:
        """Look at the targets of images before anything is run.

        Raises:
            DataError: they cannot be of this network.
        """

    @abstractmethod
    def targets(self, images: ImageSource, outputs: Outputs) -> Understood[T]:
        """The targets of images that were all read once.

        Args:
            images: those that could not be read are left out by now.
            outputs: what the network says of them, which may decide what their targets mean.

        Raises:
            DataError: they are not of this network.
        """

    # --- how good a network is, and how near two of them are

    @abstractmethod
    def measure(self, outputs: Outputs, targets: T) -> tuple[Measured, ...]:
        """The values of all ``metrics``."""

    @abstractmethod
    def drop(self, found: Outputs, expected: Outputs, targets: T) -> Measured:
        """By how much the first metric of ``found`` is worse than that of ``expected``, paired by image."""

    @abstractmethod
    def agreement(self, found: Outputs, expected: Outputs) -> Measured:
        """How near the answers of one network are to another's on the same images, 0 to 100 %."""

    @abstractmethod
    def trusts(self, outputs: Outputs, targets: T) -> bool:
        """Whether targets are what a trained network answers: what it loses is then measured by them."""

    @abstractmethod
    def plausible(self, outputs: Outputs, targets: T) -> Plausibility:
        """Whether a float network is as good as one that is fed with what it was trained with."""

    def by_class(self, outputs: Outputs, targets: T) -> dict[str, float]:  # noqa: ARG002 - not every task has it
        """What the first metric is the mean of: its value for each class that occurs, percent, by the class's name."""
        return {}

    def quality(self, outputs: Outputs, targets: T, names: Sequence[str]) -> Quality:  # noqa: ARG002 - others tell images
        """How good a network is in detail.

        Args:
            outputs: for N images.
            targets: of these.
            names: of these.
        """
        return Quality(self.measure(outputs, targets))

    # --- what people see

    @abstractmethod
    def decode(self, outputs: Outputs, most: int = 5) -> tuple[Answer, ...]:
        """What the outputs for N images say, one answer an image, each of at most ``most`` things."""

    @abstractmethod
    def stated(self, targets: T) -> tuple[Answer, ...]:
        """What the targets say, one answer an image."""

    @abstractmethod
    def differences(self, found: Outputs, expected: Outputs, names: Sequence[str]) -> Differences:
        """Where ``found``, of the integer model, says something else than ``expected``, of the float network.

        Args:
            found: for N images.
            expected: for the same.
            names: of these images.
        """


def only_vector(shapes: Mapping[str, tuple[int, ...]], task: str, of: str) -> tuple[str, int]:
    """The name of a network's one output, and how many numbers it has.

    Args:
        shapes: of all outputs for one image, by name.
        task: that reads it.
        of: what its numbers stand for, in one word: "classes".

    Raises:
        ConfigError: there are several outputs, or a map.
    """
    if len(shapes) != 1 or any(len(shape) != 1 for shape in shapes.values()):
        found = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
        raise ConfigError(f"the task is {task}, which reads one output of [{of}], and there is {found}")
    ((output, (count,)),) = shapes.items()
    return output, count
