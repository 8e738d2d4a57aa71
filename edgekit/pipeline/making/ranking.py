"""Which parts of a network suffer most from quantization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from edgekit.calibration.one_at_a_time import OneAtATime, Part
    from edgekit.tasks.task import Task
    from edgekit.verification.closeness import Closeness

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What quantizing one part of a network does, all else in float.

    Attributes:
        layer: its name in the checkpoint; of the input, the name of its tensor.
        part: its activation, which is the tensor that it makes, or its weights.
        place: among all parts, in the order of the network, from 0.
        closeness: of the outputs to those in float.
    """

    layer: str
    part: Part
    place: int
    closeness: Closeness


def rank(found: OneAtATime, task: Task[T]) -> tuple[Sensitivity, ...]:
    """The parts of a network with this task, the one with the lowest SQNR first."""
    from edgekit.verification.closeness import compare  # noqa: PLC0415 - needs torch

    parts = [
        Sensitivity(alone.layer, alone.part, place, compare(task, alone.reference, alone.outputs))
        for place, alone in enumerate(found.alone)
    ]
    return tuple(sorted(parts, key=lambda part: part.closeness.sqnr_db))
