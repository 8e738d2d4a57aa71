"""What a training knows of its network and no weight tells. It travels in edgekit's own checkpoints."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, get_args

from edgekit.conventions import ORDERS, Interpolation
from edgekit.errors import ArtifactError, ConfigError
from edgekit.facts import Basis, Fact
from edgekit.preprocessing import Preprocessing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.models.architecture import Size
    from edgekit.models.structures import Structure

BECAUSE: Final = "edgekit's training recorded it"


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a training records of its network.

    Attributes:
        preprocessing: how an image becomes the network's input, where it is judged.
        task: what the network is for, as ``--task`` takes it.
        labels: names of what it tells apart, in order; empty where none are known.
        measured: what it reached on the images that it was chosen by, with its unit, by the metric's title.
    """

    preprocessing: Preprocessing
    task: str = "classification"
    labels: tuple[str, ...] = ()
    measured: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def facts(self) -> tuple[Fact, ...]:
        """It as facts that the file states."""
        task = Fact("task", self.task, Basis.STATED, BECAUSE, "--task")
        return (*self.preprocessing.facts(Basis.STATED, BECAUSE), task)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was measured, for people."""
        told = ", ".join(f"{title} {value}" for title, value in self.measured.items())
        return (f"in training it reached {told}",) if told else ()

    def check(self, architecture: Structure) -> None:
        """Refuse to keep it beside a network that it is not about.

        Raises:
            ConfigError: the image has another size or other channels, or there is not one label a class.
        """
        takes, shown = (architecture.in_channels, *architecture.size), self.preprocessing
        given = (len(shown.mean), *shown.size)
        if given != takes:
            raise ConfigError(f"the recorded images are {list(given)}, and the network takes {list(takes)}")
        if self.labels and len(self.labels) != architecture.num_classes:
            raise ConfigError(
                f"{len(self.labels)} labels are recorded, and the network has {architecture.num_classes} classes: name"
                " each of them, or none"
            )

    def at(self, size: Size) -> Recorded:
        """The same for images of another size, of which the network sees the same share."""
        return replace(self, preprocessing=self.preprocessing.at(size))

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "preprocessing": self.preprocessing.to_dict(),
            "task": self.task,
            "labels": list(self.labels),
            "measured": dict(self.measured),
        }

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Recorded:
        """The inverse of ``to_dict``.

        Raises:
            ArtifactError: a value is missing, or none that ``to_dict`` gives.
        """
        try:
            read = Recorded(
                Preprocessing.from_dict(values["preprocessing"]),
                str(values["task"]),
                tuple(map(str, values["labels"])),
                MappingProxyType({str(title): str(value) for title, value in values["measured"].items()}),
            )
            _check_read(read.preprocessing)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"not what edgekit's training records ({error}): save the network again") from error
        return read


def _check_read(read: Preprocessing) -> None:
    """Refuse what no training has, so that it fails here and not where images are read.

    Raises:
        TypeError, ValueError: a value is none that images can be read by.
    """
    numbers = (*read.mean, *read.std)
    if len(read.mean) != len(read.std) or not all(map(math.isfinite, numbers)) or min(read.std) <= 0:
        raise ValueError(f"mean {read.mean} and std {read.std}")
    sides = read.resize if isinstance(read.resize, tuple) else (read.resize,)
    if read.resize not in {None, "whole"} and not all(isinstance(side, int) and side > 0 for side in sides):
        raise ValueError(f"resize {read.resize}")
    if read.order not in ORDERS or read.interpolation not in get_args(Interpolation):
        raise ValueError(f"order {read.order}, interpolation {read.interpolation}")
