"""What the calibration images tell, and the integer model that follows from it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from edgekit.calibration.assignment import quantize
from edgekit.calibration.bias_correction import bias_corrections
from edgekit.calibration.equalization import equalize, find_gains
from edgekit.calibration.observers import StreamingHistogram
from edgekit.calibration.ranges import DEFAULT_PERCENTILE, RangeMethod, Ranges, find_range
from edgekit.errors import DataError
from edgekit.executor.float import FloatExecutor
from edgekit.progress import Progress, silent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.calibration.images import ImageSource
    from edgekit.float_model import FloatModel
    from edgekit.integer_model import IntegerModel

BATCH_SIZE = 8
SAMPLE = 32  # images for equalization and bias correction, which hold all of them at once


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
    """Everything that ``integer_model`` needs to know of the images.

    1. A sample of them tells how far the channels behind the first convolution reach: they are equalized.
    2. One pass over all of them fills a histogram of every tensor, from which ``method`` takes the ranges.
    3. The sample goes through the integer model that follows, layer by layer, and corrects its biases.

    Raises:
        DataError: there is no usable image, or a tensor becomes infinite or NaN.
    """
    sample = images.sample(SAMPLE).pixels
    normalized = model.preprocessing.normalization(sample)
    gains = find_gains(model, normalized)
    equalized = equalize(model, gains)
    histograms, seen = observe(equalized, images, batch_size=batch_size, progress=progress)
    progress("correcting biases", 0, 1)
    ranges = {name: find_range(h, method, percentile=percentile) for name, h in histograms.items()}
    quantized = quantize(equalized, ranges)
    corrections = bias_corrections(equalized, quantized, normalized, quantized.encode(sample))
    progress("correcting biases", 1, 1)
    return Ranges(
        ranges=ranges,
        method=method,
        images=seen,
        digest=images.digest,
        preprocessing=model.preprocessing,
        percentile=percentile if method is RangeMethod.PERCENTILE else None,
        provenance=model.provenance,
        gains={name: _rounded(values) for name, values in gains.items()},
        corrections={name: _rounded(values) for name, values in corrections.items()},
    )


def integer_model(model: FloatModel, ranges: Ranges, *, pixel_input: bool = True) -> IntegerModel:
    """The integer model of ``model``: equalized, corrected, quantized as ``ranges`` says.

    Args:
        model: in ``passes.integer_form``.
        ranges: what ``calibrate`` found, now or in an earlier export.
        pixel_input: fold the normalization into the first convolution, so that the int8 input is pixel - 128.

    Raises:
        DataError: a tensor has no range.
        UnsupportedOperator: an operator has no integer form, or scales that no kernel bridges.
    """
    equalized = equalize(model, ranges.gains)
    constants = dict(equalized.graph.constants)
    for bias, correction in ranges.corrections.items():
        constants[bias] = (constants[bias] + np.array(correction)).astype(np.float32)
    corrected = replace(equalized, graph=replace(equalized.graph, constants=constants))
    return quantize(corrected, ranges.ranges, pixel_input=pixel_input)


def _rounded(values: NDArray[np.float64]) -> tuple[float, ...]:
    """To nine digits, as many as float32 holds: the file is a third smaller."""
    return tuple(float(f"{value:.9g}") for value in values)
