"""One pass over the calibration images: a histogram of every tensor, whatever their number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edgekit.calibration.observers import StreamingHistogram
from edgekit.calibration.ranges import DEFAULT_PERCENTILE, RangeMethod, Ranges, find_range
from edgekit.errors import DataError
from edgekit.executor.float import FloatExecutor
from edgekit.progress import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.calibration.images import ImageSource
    from edgekit.float_model import FloatModel

BATCH_SIZE = 8


def observe(
    model: FloatModel, images: ImageSource, *, batch_size: int = BATCH_SIZE, progress: Progress = silent
) -> tuple[dict[str, StreamingHistogram], int]:
    """Histograms of every tensor of ``model`` over ``images``, by name, and the number of images.

    Raises:
        DataError: there is no usable image, or a tensor becomes infinite or NaN.
    """
    executor = FloatExecutor(model.graph)
    histograms = {name: StreamingHistogram() for name in model.graph.tensors}

    def update(name: str, value: torch.Tensor) -> None:
        try:
            histograms[name].update(value.numpy())
        except ValueError as error:
            raise DataError(
                f"{name} becomes infinite or NaN on these images: check mean and std, or the checkpoint itself"
            ) from error

    seen = 0
    with torch.inference_mode():
        for batch in images.batches(batch_size):
            executor(torch.from_numpy(model.preprocessing.normalization(batch.pixels)), update)
            seen += len(batch.pixels)
            progress("calibrating", min(seen, len(images)), len(images))
    return histograms, seen


def calibrate(  # noqa: PLR0913 - each is a choice of the user's
    model: FloatModel,
    images: ImageSource,
    *,
    method: RangeMethod = RangeMethod.PERCENTILE,
    percentile: float = DEFAULT_PERCENTILE,
    batch_size: int = BATCH_SIZE,
    progress: Progress = silent,
) -> Ranges:
    """The ranges of every tensor of ``model`` over ``images``.

    Raises:
        DataError: there is no usable image, or a tensor becomes infinite or NaN.
    """
    histograms, seen = observe(model, images, batch_size=batch_size, progress=progress)
    return ranges_of(histograms, seen, model, images, method=method, percentile=percentile)


def ranges_of(  # noqa: PLR0913 - each is a choice of the user's
    histograms: Mapping[str, StreamingHistogram],
    seen: int,
    model: FloatModel,
    images: ImageSource,
    *,
    method: RangeMethod,
    percentile: float = DEFAULT_PERCENTILE,
) -> Ranges:
    """Ranges from histograms that ``observe`` made; cheap, so that methods can be compared without another pass."""
    return Ranges(
        ranges={name: find_range(h, method, percentile=percentile) for name, h in histograms.items()},
        method=method,
        images=seen,
        digest=images.digest,
        preprocessing=model.preprocessing,
        percentile=percentile if method is RangeMethod.PERCENTILE else None,
        provenance=model.provenance,
    )
