"""Feature maps of another size."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from edgekit.capture import resizing
from edgekit.capture.onnx_call import View, lowers
from edgekit.errors import UnsupportedOperator

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.capture.builder import GraphBuilder
    from edgekit.capture.onnx_call import Call

_SCALES = 2  # the operand of Resize since opset 11; before, and of Upsample, it is the second

# Place i of ``new`` among ``old`` ones, and which of these is nearest: https://onnx.ai/onnx/operators/onnx__Resize.html
_PLACES: Final[dict[str, Callable[[int, int, int, float], float]]] = {
    "half_pixel": lambda i, _, __, scale: (i + 0.5) / scale - 0.5,
    "half_pixel_symmetric": lambda i, old, new, scale: old / 2 * (1 - new / (scale * old)) + (i + 0.5) / scale - 0.5,
    "pytorch_half_pixel": lambda i, _, new, scale: (i + 0.5) / scale - 0.5 if new > 1 else 0.0,
    "align_corners": lambda i, old, new, _: i * (old - 1) / max(new - 1, 1),
    "asymmetric": lambda i, _, __, scale: i / scale,
    "tf_half_pixel_for_nn": lambda i, _, __, scale: (i + 0.5) / scale,
}
_NEAREST: Final[dict[str, Callable[[float], int]]] = {
    "round_prefer_floor": lambda place: math.ceil(place - 0.5),
    "round_prefer_ceil": lambda place: math.floor(place + 0.5),
    "floor": math.floor,
    "ceil": math.ceil,
}

_REMEDY = (
    "nearest neighbours by whole factors (coordinates 'asymmetric', nearest_mode 'floor') are taken, and bilinear ones "
    "('half_pixel') to sizes in the place of factors; change the network there and export it again"
)


@lowers("Resize", "Upsample")
def _resize(call: Call, builder: GraphBuilder) -> View:
    x, mode = call.view(0), call.text("mode", "nearest")
    if x.tensor == builder.input:
        raise UnsupportedOperator(
            f"node {call.name!r} ({call.op_type}) resizes the image: cut it off, and let edgekit resize the images "
            f"(preprocessing.resize)"
        )
    is_old = call.op_type == "Upsample" or call.arity == 2
    places_mode = "asymmetric" if is_old else call.text("coordinate_transformation_mode", "half_pixel")
    nearest_mode = "floor" if is_old else call.text("nearest_mode", "round_prefer_floor")
    policy = call.text("keep_aspect_ratio_policy", "stretch")
    if mode not in {"nearest", "linear"} or places_mode not in _PLACES or call.number("antialias", 0):
        raise call.refuse(f"resizes by {mode}, {places_mode}{', antialias' if call.number('antialias', 0) else ''}")
    if policy != "stretch" or {*"CHW"} - {*x.axes} or len(call.shape) != len(x.axes):
        raise call.refuse(f"resizes a tensor laid out as {x.axes} to {call.shape}, {policy}")
    old = dict(zip("CHW", builder.shape(x.tensor), strict=True))
    new = dict(zip(x.axes, call.shape, strict=True))
    scales = {axis: new[axis] / old[axis] for axis in old} | _scales(call, x.axes)
    if new["C"] != old["C"]:
        raise call.refuse(f"resizes {old['C']} channels to {new['C']}")
    places = [[_PLACES[places_mode](i, old[axis], new[axis], scales[axis]) for i in range(new[axis])] for axis in "HW"]
    try:
        if mode == "linear":
            return View(resizing.bilinear(builder, call.name, x.tensor, places), x.axes)
        rounded = [
            [min(max(_NEAREST[nearest_mode](place), 0), old[axis] - 1) for place in of_axis]
            for axis, of_axis in zip("HW", places, strict=True)
        ]
        return View(resizing.nearest(builder, call.name, x.tensor, rounded), x.axes)
    except ValueError as error:
        raise call.refuse(str(error), _REMEDY) from error


def _scales(call: Call, axes: str) -> dict[str, float]:
    """The factors that are given, by axis; none where sizes are."""
    place = 1 if call.op_type == "Upsample" or call.arity == 2 else _SCALES
    given = call.constant(place)
    values = call.reals("scales") if given is None else tuple(map(float, given.reshape(-1)))
    resized = call.numbers("axes") or range(len(axes))
    return {axes[axis]: value for axis, value in zip(resized, values, strict=False)}
