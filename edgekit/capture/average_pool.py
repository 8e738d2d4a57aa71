"""Averages of windows, as other tools have them, in those of ``AveragePool2d``, whose windows are all alike."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edgekit.errors import UnsupportedOperator
from edgekit.ir import AveragePool2d, Padding
from edgekit.ir.operators.padding import NO_PADDING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgekit.capture.builder import GraphBuilder


@dataclass(frozen=True, slots=True)
class Averages:
    """What other tools say of average pooling.

    Attributes:
        kernel: height and width of the window.
        stride: rows and columns from one window to the next.
        padding: zeros around the feature map.
        ceil: windows may reach beyond the padding, as long as they begin before its end.
        counts_padding: a sum is divided by all that lies within the padded feature map, not by what is no padding.
        divisor: what sums are divided by instead, if anything.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: Padding = NO_PADDING
    ceil: bool = False
    counts_padding: bool = True
    divisor: int | None = None


def average_pool(builder: GraphBuilder, name: str, x: str, averages: Averages) -> str:
    """The averages of ``x`` [C, H, W].

    Where windows are divided by different numbers, as at a border that is not counted, all are divided by one, and the
    result is multiplied by an array of corrections.
    """
    _, *size = builder.shape(x)
    p = averages.padding
    if min(p.top, p.bottom, p.left, p.right) < 0:
        raise UnsupportedOperator(f"the pooling {name!r} crops (its padding is negative): crop the images instead")
    rows = _along(averages, 0, size[0], (p.top, p.bottom))
    columns = _along(averages, 1, size[1], (p.left, p.right))
    padding = replace(p, bottom=rows.behind, right=columns.behind)
    area = math.prod(averages.kernel)
    divisors = rows.counted[:, None] * columns.counted
    if averages.divisor is not None:
        divisors = np.full_like(divisors, averages.divisor)
    correction = area / divisors
    correction = np.ones(1) * correction[0, 0] if (correction == correction[0, 0]).all() else correction[None]
    is_whole = averages.kernel == tuple(size) and divisors.size == 1 and not padding
    op = AveragePool2d(averages.kernel, averages.stride, padding)
    corrected = (correction != 1).any()
    inner = f"{name}.pool" if corrected else name
    pooled = builder.mean(inner, x) if is_whole else builder.apply(inner, op, x)
    return builder.affine(name, pooled, correction, np.zeros(1)) if corrected else pooled


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class _Axis:
    """Along one axis: the zeros behind that windows need, and how many numbers of each are counted."""

    behind: int
    counted: NDArray[np.int64]


def _along(averages: Averages, axis: int, size: int, padding: Sequence[int]) -> _Axis:
    """Source: pool2d_shape_check and avg_pool2d in PyTorch's aten/src/ATen/native (Pool.h, cpu/AvgPoolKernel.cpp)."""
    kernel, stride, (before, behind) = averages.kernel[axis], averages.stride[axis], padding
    free = before + size + behind - kernel
    places = (math.ceil(free / stride) if averages.ceil else free // stride) + 1
    if averages.ceil and (places - 1) * stride >= size + before:  # a window of nothing but what is beyond
        places -= 1
    start = np.arange(places) * stride - before
    stop = np.minimum(start + kernel, size + behind)
    if not averages.counts_padding:
        start, stop = np.maximum(start, 0), np.minimum(stop, size)
    needed = (places - 1) * stride + kernel - before - size
    return _Axis(max(behind, needed) if averages.ceil else behind, stop - start)
