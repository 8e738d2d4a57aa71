"""The integers of small models, computed without any framework: the oracle.

The oracle knows the contract only: integer sums, one exact rational ratio, round, saturate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.ir import Add, Conv2d, Linear, Mean, Mul, Pad, Padding, Rearrange
from edgekit.quantization import requantize

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edgekit.integer_model import IntegerModel


def evaluate(model: IntegerModel, image: NDArray[np.int8]) -> NDArray[np.int8]:
    """The stored integers of the output, for stored integers [N, ...] of the input."""
    graph = model.graph
    values: dict[str, NDArray[Any]] = {graph.input: image, **graph.constants}

    def centred(name: str) -> NDArray[np.int64]:
        return values[name].astype(np.int64) - (model.params[name].zero_point if name in model.params else 0)

    one = np.ones(1, np.int64)
    for node in graph:
        x = centred(node.inputs[0])
        zero_point = model.params[node.output].zero_point
        ratio = model.ratios.get(node.name)
        numerator, denominator = (ratio.numerator, ratio.denominator) if ratio else (one, one)
        match node.op:
            case Conv2d(stride=stride, padding=padding, groups=groups):
                total = convolve(padded(x, padding), centred(node.inputs[1]), stride[0], groups)
                total += values[node.inputs[2]][:, None, None]
                result = requantize(total, numerator[:, None, None], denominator[:, None, None], zero_point)
            case Linear():
                total = x @ centred(node.inputs[1]).T + values[node.inputs[2]]
                result = requantize(total, numerator, denominator, zero_point)
            case Add():
                total = x * numerator[0] + centred(node.inputs[1]) * numerator[1]
                result = requantize(total, one, denominator[:1], zero_point)
            case Mul():
                result = requantize(x * centred(node.inputs[1]), numerator, denominator, zero_point)
            case Mean(keep_dims=keep_dims):
                result = requantize(x.sum((2, 3), keepdims=keep_dims), numerator, denominator, zero_point)
            case Pad(padding=padding):
                result = (padded(x, padding) + zero_point).astype(np.int8)
            case Rearrange(shape=shape):
                result = values[node.inputs[0]].reshape(len(x), *shape)
        values[node.output] = result
    return values[graph.output_tensors[0]]


def padded(x: NDArray[np.int64], padding: Padding) -> NDArray[np.int64]:
    return np.pad(x, ((0, 0), (0, 0), (padding.top, padding.bottom), (padding.left, padding.right)))


def convolve(x: NDArray[np.int64], weight: NDArray[np.int64], stride: int, groups: int) -> NDArray[np.int64]:
    """[N, I, H, W] with [O, I / groups, k, k] -> [N, O, H', W'], in int64."""
    kernel, of_group = weight.shape[2], weight.shape[0] // groups
    windows = np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), (2, 3))[:, :, ::stride, ::stride]
    parts = [
        np.einsum("nihwkl,oikl->nohw", part, weight[g * of_group : (g + 1) * of_group])
        for g, part in enumerate(np.split(windows, groups, axis=1))
    ]
    return np.concatenate(parts, axis=1)


@pytest.fixture
def oracle() -> Callable[[IntegerModel, NDArray[np.int8]], NDArray[np.int8]]:
    """``evaluate``."""
    return evaluate
