"""Resized feature maps, whichever way a network says where their pixels lie: the positions decide, not the words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edgekit.ir import Resize
from edgekit.ir.operators.resize import ALIGNED, ASYMMETRIC, HALF_PIXEL, NEAREST, positions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.capture.builder import GraphBuilder

_TOLERANCE = 1e-4  # of a position: factors are float32 numbers


def nearest(builder: GraphBuilder, name: str, x: str, places: Sequence[Sequence[int]]) -> str:
    """``x`` with the rows and columns of these numbers.

    Raises:
        ValueError: they are no whole number of copies of each; the message continues "it ...".
    """
    _, *old = builder.shape(x)
    size = tuple(map(len, places))
    for before, after, found in zip(old, size, places, strict=True):
        if after % before or list(found) != [place // (after // before) for place in range(after)]:
            raise ValueError(
                f"resizes from {before} to {after} by nearest neighbours, and edgekit enlarges by whole factors only"
            )
    return _resized(builder, name, x, size, NEAREST)


def bilinear(builder: GraphBuilder, name: str, x: str, places: Sequence[Sequence[float]]) -> str:
    """``x`` interpolated at these rows and columns, which may lie beyond its edges.

    Raises:
        ValueError: no mode puts them there; the message continues "it ...".
    """
    _, *old = builder.shape(x)
    size = tuple(map(len, places))
    for mode in (HALF_PIXEL, ALIGNED, ASYMMETRIC):
        if all(_is_same(*axis, mode) for axis in zip(old, size, places, strict=True)):
            return _resized(builder, name, x, size, mode)
    raise ValueError(
        f"interpolates from {tuple(old)} to {size} at other places than TensorFlow and PyTorch do with any setting"
    )


def _is_same(old: int, new: int, places: Sequence[float], mode: str) -> bool:
    wanted = positions(old, new, mode)
    return all(
        math.isclose(min(max(found, 0), old - 1), place, abs_tol=_TOLERANCE)
        for found, place in zip(places, wanted, strict=True)
    )


def _resized(builder: GraphBuilder, name: str, x: str, size: tuple[int, ...], mode: str) -> str:
    if size == builder.shape(x)[1:]:
        return x
    height, width = size
    return builder.apply(name, Resize((height, width), mode), x)
