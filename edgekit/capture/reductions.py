"""Means and largest numbers along axes of a feature map, in operators that edgekit has: pools and convolutions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from edgekit.capture.average_pool import Averages, average_pool
from edgekit.ir import MaxPool2d, Rearrange

if TYPE_CHECKING:
    from collections.abc import Collection

    from edgekit.capture.builder import GraphBuilder

CHANNELS, HEIGHT, WIDTH = range(3)  # the axes of [C, H, W]


def mean(builder: GraphBuilder, name: str, x: str, axes: Collection[int]) -> str:
    """The mean of ``x`` [C, H, W] along some of its axes, each of which stays with one element.

    Along channels, it is a 1 x 1 convolution whose weights all are 1 / C.
    """
    channels, *_ = builder.shape(x)
    kernel = _kernel(builder.shape(x), axes)
    if CHANNELS not in axes:
        return average_pool(builder, name, x, Averages(kernel, kernel))
    if math.prod(kernel) > 1:
        x = average_pool(builder, f"{name}.pixels", x, Averages(kernel, kernel))
    return builder.conv2d(name, x, np.full((1, channels, 1, 1), 1 / channels), None)


def largest(builder: GraphBuilder, name: str, x: str, axes: Collection[int]) -> str:
    """The largest number of ``x`` [C, H, W] along some of its axes, each of which stays with one element.

    Along channels, these are moved to where a pool takes them for columns; nothing is moved in a layout of channels
    last.
    """
    kernel = _kernel(builder.shape(x), axes)
    if CHANNELS not in axes:
        return builder.apply(name, MaxPool2d(kernel, (1, 1)), x)
    if math.prod(kernel) > 1:
        x = builder.apply(f"{name}.pixels", MaxPool2d(kernel, (1, 1)), x)
    channels, height, width = builder.shape(x)
    columns = Rearrange((channels, height * width), (1, 0), (1, height * width, channels))
    x = builder.rearrange(f"{name}.columns", x, columns)
    x = builder.apply(name, MaxPool2d((1, channels), (1, 1)), x)
    return builder.rearrange(f"{name}.map", x, Rearrange.reshape((1, height, width)))


def _kernel(shape: tuple[int, ...], axes: Collection[int]) -> tuple[int, int]:
    """Height and width of the window that holds all along ``axes``."""
    height, width = (shape[axis] if axis in axes else 1 for axis in (HEIGHT, WIDTH))
    return height, width
