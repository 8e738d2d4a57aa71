"""One pass over all calibration images: histograms of every tensor, and the moments of what layers read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from edgekit.calibration.observers import StreamingHistogram
from edgekit.calibration.rounding import InputMoments
from edgekit.calibration.stability import GROUPS
from edgekit.errors import DataError
from edgekit.executor.float import FloatExecutor
from edgekit.progress import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgekit.calibration.images import ImageSource
    from edgekit.float_model import FloatModel

BATCH_SIZE = 8


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Observed:
    """What a network computes on images.

    Attributes:
        histograms: ``GROUPS`` of every tensor by name, to which the batches are dealt out in turn.
        moments: of what layers read.
        images: how many were seen.
    """

    histograms: Mapping[str, Sequence[StreamingHistogram]]
    moments: InputMoments
    images: int


def observe(
    model: FloatModel, images: ImageSource, *, batch_size: int = BATCH_SIZE, progress: Progress = silent
) -> Observed:
    """What ``model`` computes on ``images``.

    Raises:
        DataError: there is no usable image, or a tensor becomes infinite or NaN.
    """
    executor = FloatExecutor(model.graph)
    histograms = {name: [StreamingHistogram() for _ in range(GROUPS)] for name in model.graph.tensors}
    moments = InputMoments(model.graph)

    def update(name: str, value: torch.Tensor) -> None:
        try:
            histograms[name][batches % GROUPS].update(value.numpy())
        except ValueError as error:
            raise DataError(
                f"{name} becomes infinite or NaN on these images: check mean and std, or the checkpoint itself"
            ) from error
        moments.update(name, value)

    seen = batches = 0
    with torch.inference_mode():
        for batch in images.batches(batch_size):
            executor(torch.from_numpy(model.preprocessing.normalization(batch.pixels)), update)
            seen += len(batch.pixels)
            batches += 1
            progress("calibrating", min(seen, len(images)), len(images))
    return Observed(histograms, moments, seen)
