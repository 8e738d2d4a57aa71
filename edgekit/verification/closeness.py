"""How close an integer model comes to the float network that it was made from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from edgekit.executor.batches import joined
from edgekit.executor.float import FloatExecutor
from edgekit.executor.integer import IntegerExecutor
from edgekit.tasks.scoring import worst_sqnr_db

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.float_model import FloatModel
    from edgekit.integer_model import IntegerModel
    from edgekit.tasks.task import Task
    from edgekit.tasks.values import Outputs

T = TypeVar("T")

BATCH_SIZE = 16


@dataclass(frozen=True, slots=True)
class Closeness:
    """Of an integer model to its float network, on the same images.

    Attributes:
        agreement: how near the answers are as the network's task has it, 0..1; of a classifier, the share of images
            with the same class.
        sqnr_db: of the outputs, of several that of the worst one, decibels: the signal's power over the difference's.
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


def compare(task: Task[T], floats: Outputs, found: Outputs) -> Closeness:
    """The closeness of what a network gives for N images to what its float network gives for the same."""
    return Closeness(task.agreement(found, floats).value / 100, worst_sqnr_db(task, found, floats))


def float_outputs(model: FloatModel, pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """What the float network gives, [N, ...] by name, for pixels [N, H, W, C]."""
    executor = FloatExecutor(model.graph)
    images = (torch.from_numpy(model.preprocessing.normalization(part)) for part in _parts(pixels))
    with torch.inference_mode():
        return joined([executor(part) for part in images])


def integer_outputs(model: IntegerModel, pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """What an integer model gives, likewise, in real units."""
    executor = IntegerExecutor(model)
    stored = (torch.from_numpy(model.encode(part)) for part in _parts(pixels))
    with torch.inference_mode():
        given = joined([executor(part) for part in stored])
    tensors = {output.name: output.tensor for output in model.graph.outputs}
    return {name: model.real(tensors[name], array).astype(np.float32, copy=False) for name, array in given.items()}


def _parts(pixels: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    return [pixels[start : start + BATCH_SIZE] for start in range(0, len(pixels), BATCH_SIZE)]
