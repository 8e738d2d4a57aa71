"""What the calibration images tell, and the integer model that follows from it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from edgekit.calibration.assignment import quantize
from edgekit.calibration.bias_correction import bias_corrections
from edgekit.calibration.data_free import LOGITS_MARGIN, trusted_gains
from edgekit.calibration.equalization import equalize, find_gains
from edgekit.calibration.observers import StreamingHistogram
from edgekit.calibration.pixel_input import fold_normalization
from edgekit.calibration.ranges import DEFAULT_PERCENTILE, RangeMethod, Ranges, find_range
from edgekit.calibration.rounding import InputMoments, round_weights, with_weights
from edgekit.calibration.stability import GROUPS, merged, range_stability, without_one_outlier
from edgekit.errors import DataError
from edgekit.executor.float import FloatExecutor
from edgekit.progress import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from edgekit.calibration.images import ImageSource
    from edgekit.float_model import FloatModel
    from edgekit.integer_model import IntegerModel

BATCH_SIZE = 8
_QUICK = (RangeMethod.PERCENTILE, RangeMethod.MINMAX)  # the others would search for each range eight times more
SAMPLE = 32  # images for equalization and bias correction, which hold all of them at once


def observe(
    model: FloatModel, images: ImageSource, *, batch_size: int = BATCH_SIZE, progress: Progress = silent
) -> tuple[dict[str, list[StreamingHistogram]], InputMoments, int]:
    """What ``model`` computes on ``images``.

    Returns:
        ``GROUPS`` histograms of every tensor by name, to which the batches are dealt out in turn; the moments of what
        layers read; the number of images.

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
    return histograms, moments, seen


def calibrate(  # noqa: PLR0913 - each is a choice of the user's
    model: FloatModel,
    images: ImageSource,
    *,
    method: RangeMethod = RangeMethod.PERCENTILE,
    percentile: float = DEFAULT_PERCENTILE,
    keep_float: Collection[str] = (),
    int16: Collection[str] = (),
    per_tensor_weights: bool = False,
    weight_bits: int = 8,
    synthetic: bool = False,
    batch_size: int = BATCH_SIZE,
    progress: Progress = silent,
) -> Ranges:
    """Everything that ``integer_model`` needs to know of the images.

    1. A sample of them tells how far channels reach: they are equalized where the network allows it.
    2. One pass over all of them fills a histogram of every tensor, from which ``method`` takes the ranges, and the
       moments of what layers read, by which weights are rounded.
    3. The sample goes through the integer model that follows, layer by layer, and corrects its biases. The corrections
       suit a model with the same layers in float: another would be corrected for errors that it does not make.

    Where the images are ``synthetic`` (``data_free``), less is concluded from them.

    Raises:
        ConfigError: ``keep_float`` or ``int16`` names a layer that does not exist, or both name the same.
        DataError: there is no usable image, or a tensor becomes infinite or NaN.
    """
    sample = images.sample(SAMPLE).pixels
    normalized = model.preprocessing.normalization(sample)
    gains = find_gains(model, normalized, per_tensor_weights=per_tensor_weights)
    if synthetic:
        gains = trusted_gains(model.graph, gains)
    equalized = equalize(model, gains)
    histograms, moments, seen = observe(equalized, images, batch_size=batch_size, progress=progress)
    find = partial(find_range, method=method, percentile=percentile)
    ranges = {name: find(merged(groups)) for name, groups in histograms.items()}
    if method is RangeMethod.PERCENTILE:
        ranges = {name: without_one_outlier(ranges[name], histograms[name], find) for name in ranges}
    steady = range_stability(histograms, find, images=seen) if method in _QUICK else None
    if synthetic:
        ranges |= {name: ranges[name].scaled(LOGITS_MARGIN) for name in model.graph.output_tensors}
    nearest = quantize(
        equalized,
        ranges,
        keep_float=keep_float,
        int16=int16,
        per_tensor_weights=per_tensor_weights,
        weight_bits=weight_bits,
    )
    folded, normalization = fold_normalization(equalized.graph, model.preprocessing.normalization)
    input_gain = normalization.std[0] / np.array(model.preprocessing.normalization.std)
    weights = {} if synthetic else round_weights(folded, nearest, moments, input_gain=input_gain, progress=progress)
    quantized = with_weights(nearest, weights)
    progress("correcting biases", 0, 1)
    corrections = bias_corrections(equalized, quantized, normalized, quantized.encode(sample))
    progress("correcting biases", 1, 1)
    return Ranges(
        ranges=ranges,
        method=method,
        images=seen,
        digest=images.digest,
        preprocessing=model.preprocessing,
        percentile=percentile if method is RangeMethod.PERCENTILE else None,
        provenance=quantized.provenance,  # it names the layers that are more precise
        gains={name: _rounded(values) for name, values in gains.items()},
        corrections={name: _rounded(values) for name, values in corrections.items()},
        roundings={name: found - nearest.graph.constants[name] for name, found in weights.items()},
        per_tensor_weights=per_tensor_weights,
        weight_bits=weight_bits,
        stability={} if steady is None else {name: float(f"{bound:.3g}") for name, bound in steady.bounds.items()},
    )


def integer_model(
    model: FloatModel,
    ranges: Ranges,
    *,
    pixel_input: bool = True,
    keep_float: Collection[str] = (),
    int16: Collection[str] = (),
) -> IntegerModel:
    """The integer model of ``model``: equalized, corrected, quantized as ``ranges`` says.

    Args:
        model: in ``passes.integer_form``.
        ranges: what ``calibrate`` found, now or in an earlier export.
        pixel_input: fold the normalization into the first convolution, so that the int8 input is pixel - 128.
        keep_float: layers that stay in float, named as in ``mixed_precision.select_layers``.
        int16: layers with 16-bit activations, likewise.

    Raises:
        ConfigError: ``keep_float`` or ``int16`` names a layer that does not exist, or both name the same.
        DataError: a tensor has no range.
        UnsupportedOperator: an operator has no integer form, or scales that no kernel bridges.
    """
    equalized = equalize(model, ranges.gains)
    constants = dict(equalized.graph.constants)
    for bias, correction in ranges.corrections.items():
        constants[bias] = (constants[bias] + np.array(correction)).astype(np.float32)
    corrected = replace(equalized, graph=replace(equalized.graph, constants=constants))
    nearest = quantize(
        corrected,
        ranges.ranges,
        pixel_input=pixel_input,
        keep_float=keep_float,
        int16=int16,
        per_tensor_weights=ranges.per_tensor_weights,
        weight_bits=ranges.weight_bits,
    )
    integers, limit = nearest.graph.constants, nearest.weight_limit
    # The weights behind the input are others if the normalization is not folded into them, and so is what suits them.
    unsuitable = (
        set()
        if pixel_input
        else {node.operand("weight") for node in model.graph.consumers(model.graph.input) if node.op.has_weights}
    )
    rounded = {  # clipped: where the last bit of a scale is another machine's, the nearest integer may be, too
        name: np.clip(integers[name].astype(np.int16) + offset, -limit, limit).astype(np.int8)
        for name, offset in ranges.roundings.items()
        if name in nearest.params and name not in unsuitable
    }
    return with_weights(nearest, rounded)


def _rounded(values: NDArray[np.float64]) -> tuple[float, ...]:
    """To nine digits, as many as float32 holds: the file is a third smaller."""
    return tuple(float(f"{value:.9g}") for value in values)
