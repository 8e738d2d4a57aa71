"""Feature maps of another size."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edgekit.capture import resizing
from edgekit.capture.torch_call import Call, lowers
from edgekit.ir.operators.resize import ALIGNED, positions

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.capture.builder import GraphBuilder

_WHOLE = "resize bilinearly, or to a multiple of the size"
_REMEDY = (
    "interpolate(…, mode='bilinear', recompute_scale_factor=True), or a size in the place of the factor, puts pixels "
    "where every runtime has them; nearest neighbours take whole factors"
)


@lowers("upsample_nearest2d.vec", "_upsample_nearest_exact2d.vec")
def _nearest(call: Call, builder: GraphBuilder) -> str:
    """ATen/native/UpSample.h: nearest_neighbor_compute_source_index, and that of nearest_exact."""
    shift = 0.5 if call.is_operator("_upsample_nearest_exact2d") else 0.0
    places = [[min(int((i + shift) * ratio), old - 1) for i in range(new)] for old, new, ratio in _axes(call, builder)]
    return _resized(call, lambda: resizing.nearest(builder, call.name, call.activation("input"), places))


@lowers("upsample_bilinear2d.vec")
def _bilinear(call: Call, builder: GraphBuilder) -> str:
    """ATen/native/UpSample.h: area_pixel_compute_source_index."""
    aligned = bool(call.number("align_corners"))
    places = [
        [float(place) for place in positions(old, new, ALIGNED)] if aligned
        else [(i + 0.5) * ratio - 0.5 for i in range(new)]
        for old, new, ratio in _axes(call, builder)
    ]  # fmt: skip
    return _resized(call, lambda: resizing.bilinear(builder, call.name, call.activation("input"), places))


def _axes(call: Call, builder: GraphBuilder) -> list[tuple[int, int, float]]:
    """The size of height and width before and after, and how many places before one after is.

    A factor that is given counts, not what the sizes are (compute_scales_value).
    """
    old, new = builder.shape(call.activation("input"))[1:], call.shape[2:]
    factors = call.reals("scale_factors") or tuple(after / before for before, after in zip(old, new, strict=True))
    return [
        (before, after, 1 / factor if math.isfinite(factor) else 1.0)
        for before, after, factor in zip(old, new, factors, strict=True)
    ]


def _resized(call: Call, resize: Callable[[], str]) -> str:
    try:
        return resize()
    except ValueError as error:
        raise call.refuse(str(error), _REMEDY if call.reals("scale_factors") else _WHOLE) from error
