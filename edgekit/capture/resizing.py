"""Resized feature maps, whichever way a network says where their pixels lie: the positions decide, not the words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edgekit.ir import Part, Resize, Slice
from edgekit.ir.operators.resize import ALIGNED, ASYMMETRIC, HALF_PIXEL, NEAREST, positions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.capture.builder import GraphBuilder

_TOLERANCE = 1e-4  # of a position: factors are float32 numbers


def nearest(builder: GraphBuilder, name: str, x: str, places: Sequence[Sequence[int]]) -> str:
    """``x`` with the rows and columns of these numbers: parts of it, and what is enlarged of them.

    Raises:
        ValueError: they are neither every so-manieth nor a whole number of copies of each; the message continues
            "it ...".
    """
    channels, *old = builder.shape(x)
    parts, size = [Part(0, channels)], []
    for before, found in zip(old, places, strict=True):
        copies = len(found) // before
        step = found[1] - found[0] if len(found) > 1 else 1
        if copies and list(found) == [place // copies for place in range(before * copies)]:
            parts.append(Part(0, before))
        elif step > 0 and list(found) == [found[0] + step * place for place in range(len(found))]:
            parts.append(Part(found[0], len(found), step))
        else:
            if copies * before == len(found):
                shown = ", ".join(map(str, found[: 2 * copies + 1]))
                raise ValueError(
                    f"resizes from {before} to {len(found)} by taking the pixels {shown}, …, and edgekit takes each "
                    f"{copies} times in a row"
                )
            raise ValueError(
                f"resizes from {before} to {len(found)} by nearest neighbours, and edgekit enlarges by whole factors, "
                f"or takes every second or so-manieth"
            )
        size.append(len(found))
    if tuple(part.count for part in parts[1:]) != tuple(old):
        x = builder.slice(
            f"{name}.part" if size != [part.count for part in parts[1:]] else name, x, Slice(tuple(parts))
        )
    return _resized(builder, name, x, tuple(size), NEAREST)


def bilinear(builder: GraphBuilder, name: str, x: str, places: Sequence[Sequence[float]]) -> str:
    """``x`` interpolated at these rows and columns, which may lie beyond its edges.

    Raises:
        ValueError: no mode puts them there; the message continues "it ...".
    """
    _, *old = builder.shape(x)
    size = tuple(map(len, places))
    inside = [[min(max(place, 0), before - 1) for place in axis] for before, axis in zip(old, places, strict=True)]
    if all(math.isclose(place, round(place), abs_tol=_TOLERANCE) for axis in inside for place in axis):
        return nearest(builder, name, x, [[round(place) for place in axis] for axis in inside])
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
