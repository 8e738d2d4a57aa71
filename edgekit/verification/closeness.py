"""How close an integer model comes to the float network that it was made from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from edgekit.executor.float import FloatExecutor
from edgekit.executor.integer import IntegerExecutor
from edgekit.tasks.scoring import only
from edgekit.tasks.statistics import sqnr_db

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.float_model import FloatModel
    from edgekit.integer_model import IntegerModel
    from edgekit.ir import Graph, Output
    from edgekit.tasks.task import Task

T = TypeVar("T")

BATCH_SIZE = 16


@dataclass(frozen=True, slots=True)
class Closeness:
    """Of an integer model to its float network, on the same images.

    Attributes:
        agreement: how near the answers are as the network's task has it, 0..1; of a classifier, the share of images
            with the same class.
        sqnr_db: of the outputs, decibels: the signal's power over that of the difference.
    """

    agreement: float
    sqnr_db: float

    def beats(self, other: Closeness, images: int) -> bool:
        """Whether the SQNR is higher, and the agreement not lower by more than chance.

        The SQNR is a mean over all outputs and decides. Of so many ``images``, agreement moves by a standard error, or
        by one image, without any reason.
        """
        chance = max(math.sqrt(other.agreement * (1 - other.agreement) / images), 1 / images)
        return self.sqnr_db > other.sqnr_db and self.agreement >= other.agreement - chance - 1e-9


def compare(task: Task[T], floats: NDArray[np.float32], found: NDArray[np.float32]) -> Closeness:
    """The closeness of what a network gives for N images to what its float network gives for the same."""
    alike = task.agreement(only(task, found), only(task, floats))
    return Closeness(alike.value / 100, sqnr_db(found, floats))


def float_logits(model: FloatModel, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The logits [N, classes] of the float network, which is a classifier, for pixels [N, H, W, C]."""
    executor, logits = FloatExecutor(model.graph), _logits(model.graph)
    images = (model.preprocessing.normalization(part) for part in _parts(pixels))
    with torch.inference_mode():
        return np.concatenate([executor(torch.from_numpy(part))[logits.name].numpy() for part in images])


def integer_logits(model: IntegerModel, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The logits [N, classes] of an integer model, likewise, in real units, for pixels [N, H, W, C]."""
    executor, logits = IntegerExecutor(model), _logits(model.graph)
    stored = (torch.from_numpy(model.encode(part)) for part in _parts(pixels))
    with torch.inference_mode():
        given = np.concatenate([executor(part)[logits.name].numpy() for part in stored])
    return model.real(logits.tensor, given).astype(np.float32, copy=False)


def _logits(graph: Graph) -> Output:
    assert graph.logits is not None, f"{graph.name} is no classifier"
    return graph.logits


def _parts(pixels: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    return [pixels[start : start + BATCH_SIZE] for start in range(0, len(pixels), BATCH_SIZE)]
