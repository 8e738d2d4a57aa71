"""Axes moved about, channels chosen and joined, and what keeps values as they are."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np

from edgekit.capture.onnx_call import Channels, View, axes_of, lowers
from edgekit.ir import Concat, Padding, Part, Rearrange, Slice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.capture.builder import Copies, GraphBuilder
    from edgekit.capture.onnx_call import Call

RESHAPES = ("Flatten", "Reshape", "Squeeze", "Unsqueeze")
SAME_VALUES = ("Cast", "Dropout", "Identity")
_FLOAT_TYPES = {1, 10, 11, 16}  # TensorProto.DataType: FLOAT, FLOAT16, DOUBLE, BFLOAT16


@lowers("Pad")
def _pad(call: Call, builder: GraphBuilder) -> View:
    x, pads = call.view(0), call.integers(1, "pads")
    mode, value = call.text("mode", "constant"), call.bound(2, "value", 0.0)
    axes = [x.axes[axis] for axis in call.integers(3, "axes")] or list(x.axes)
    around = dict(zip(axes, zip(pads, pads[len(axes) :], strict=False), strict=True))
    padded = {axis for axis, widths in around.items() if any(widths)}
    is_constant = mode == "constant"
    if (is_constant and value != 0) or not padded <= set("CHW") or len(builder.shape(x.tensor)) != len("CHW"):
        raise call.refuse(f"pads {pads} in mode {mode!r} with {value:g}")
    channels, rows, columns = (around.get(axis, (0, 0)) for axis in "CHW")
    if not is_constant and (any(channels) or min(*rows, *columns) < 0):
        raise call.refuse(f"pads {pads} in mode {mode!r}")
    if not is_constant:
        return View(builder.pad_by_copies(call.name, x.tensor, Padding(*rows, *columns), cast("Copies", mode)), x.axes)
    return View(builder.pad(call.name, x.tensor, Padding(*rows, *columns), channels), x.axes)


@lowers("Gather")
def _gather(call: Call, builder: GraphBuilder) -> View | Channels:
    x, indices = call.channels(0, builder), call.array(1)
    place = int(call.number("axis", 0)) % len(x.axes)
    numbers = indices.reshape(-1).tolist()
    if x.axes[place] == "C" and indices.ndim <= 1:
        return x.taken(numbers, x.axes if indices.ndim else x.axes[:place] + x.axes[place + 1 :])
    step = numbers[1] - numbers[0] if len(numbers) > 1 else 1
    if step < 1 or numbers != list(range(numbers[0], numbers[-1] + 1, step)) or indices.ndim > 1:
        raise call.refuse(f"takes parts of the axis {x.axes[place]} in an order of its own")
    taken = _parts(call, builder, x, {x.axes[place]: slice(numbers[0], numbers[-1] + 1 or None, step)})
    if indices.ndim:
        return taken
    made = taken.as_it_is(f"{call.name}.layout", builder)
    return View.of(builder.rearrange(call.name, made.tensor, Rearrange.reshape(call.shape[1:])), builder)


@lowers("Slice")
def _slice(call: Call, builder: GraphBuilder) -> View | Channels:
    x = call.channels(0, builder)
    starts, ends = call.integers(1, "starts"), call.integers(2, "ends")
    axes, steps = call.integers(3, "axes") or range(len(starts)), call.integers(4, "steps") or (1,) * len(starts)
    sizes = dict(zip(x.axes, (1, *call.sizes(x, builder)), strict=True))
    places = {}
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        kind = x.axes[axis]
        # NumPy's rules but for one: ONNX writes "to the front, the first included" as a number far below 0.
        places[kind] = slice(start, None if step < 0 and end < -sizes[kind] else end, step)
    if "C" in places:
        x = x.taken(range(len(x.chosen))[places.pop("C")])
    taken = {axis: range(sizes[axis])[part] for axis, part in places.items()}
    if all(part == range(sizes[axis]) for axis, part in taken.items()):
        return x
    return _parts(call, builder, x, places)


def _parts(call: Call, builder: GraphBuilder, x: Channels, places: Mapping[str, slice]) -> View:
    """Some places of axes that are no channels."""
    view = x.settled(f"{call.name}.channels", builder)
    shape = builder.shape(view.tensor)
    parts = [Part(0, size) for size in shape]
    for axis, part in places.items():
        number = axes_of(len(shape)).find(axis) - 1
        if number < 0 or (part.step or 1) < 0:
            raise call.refuse(f"takes the part {part} of the axis {axis}")
        parts[number] = Part.of(part, shape[number])
    return View(builder.slice(call.name, view.tensor, Slice(tuple(parts))), view.axes)


@lowers("DepthToSpace")
def _depth_to_space(call: Call, builder: GraphBuilder) -> View:
    """Channels are (row, column, C), or (C, row, column) in the mode CRD.

    Source: https://onnx.ai/onnx/operators/onnx__DepthToSpace.html.
    """
    x, block = call.image(0, builder), int(call.number("blocksize", 1))
    channels, height, width = builder.shape(x)
    made, is_last = channels // block**2, call.text("mode", "DCR") == "DCR"
    parts = (block, block, made, height, width) if is_last else (made, block, block, height, width)
    order = (2, 3, 0, 4, 1) if is_last else (0, 3, 1, 4, 2)
    moved = Rearrange(parts, order, (made, height * block, width * block))
    return View(builder.rearrange(call.name, x, moved), "NCHW")


@lowers("SpaceToDepth")
def _space_to_depth(call: Call, builder: GraphBuilder) -> View:
    """Source: https://onnx.ai/onnx/operators/onnx__SpaceToDepth.html."""
    x, block = call.image(0, builder), int(call.number("blocksize", 1))
    channels, height, width = builder.shape(x)
    parts = (channels, height // block, block, width // block, block)
    moved = Rearrange(parts, (2, 4, 0, 1, 3), (channels * block**2, height // block, width // block))
    return View(builder.rearrange(call.name, x, moved), "NCHW")


@lowers("Tile", "Expand")
def _tile(call: Call, builder: GraphBuilder) -> View | Channels:
    """One channel, several times, as grey images become colours; or the gates of squeeze-and-excite.

    The latter are left as they are: multiplication repeats them by itself, and whoever else reads them has another
    shape than the file says, and is refused.
    """
    x = call.channels(0, builder)
    channels, *size = builder.shape(x.tensor)
    if call.op_type == "Expand" and x.is_whole and len(x.chosen) == channels and size == [1, 1] and channels > 1:
        return View(x.tensor, x.axes)
    sizes = (1, *call.sizes(x, builder))
    if len(x.chosen) != 1 or len(call.shape) != len(sizes) or "C" not in x.axes:
        raise call.refuse(f"repeats {sizes} to {call.shape}")
    repeats = call.shape[x.axes.index("C")]
    if call.shape != tuple(repeats if axis == "C" else size for axis, size in zip(x.axes, sizes, strict=True)):
        raise call.refuse(f"repeats {sizes} to {call.shape}")
    return x.taken([0] * repeats)


@lowers("Split")
def _split(call: Call, builder: GraphBuilder) -> tuple[View | Channels, ...]:
    x = call.channels(0, builder)
    place = int(call.number("axis", 0)) % len(x.axes)
    whole, count = (1, *call.sizes(x, builder))[place], len(call.outputs)
    sizes = call.integers(1, "split") or (-(-whole // count),) * count
    ends = [min(end, whole) for end in np.cumsum(sizes)]
    parts = [slice(start, end) for start, end in itertools.pairwise([0, *ends])]
    if x.axes[place] == "C":
        return tuple(x.taken(range(whole)[part]) for part in parts)
    return tuple(_parts(call, builder, x, {x.axes[place]: part}) for part in parts)


@lowers("Concat")
def _concat(call: Call, builder: GraphBuilder) -> View | Channels:
    parts = [call.channels(index, builder) for index in range(call.arity)]
    first, place = parts[0], int(call.number("axis", 0)) % len(parts[0].axes)
    alike = all((part.tensor, part.axes) == (first.tensor, first.axes) for part in parts)
    if first.axes[place] == "C" and alike and any(call.is_channels(index) for index in range(call.arity)):
        scale, shift = (sum((part.scale for part in parts), ()), sum((part.shift for part in parts), ()))
        return Channels(first.tensor, first.axes, sum((part.chosen for part in parts), ()), scale, shift)
    views = [call.settled(index, builder) for index in range(call.arity)]
    if len({view.axes for view in views}) > 1:
        views = [view.as_it_is(f"{call.name}.layout", builder) for view in views]
    usual = axes_of(len(builder.shape(views[0].tensor)))
    axis = usual.find(views[0].axes[place]) - 1
    if axis < 0:
        raise call.refuse(f"joins tensors along {views[0].axes[place]}")
    return View(builder.apply(call.name, Concat(axis), *(view.tensor for view in views)), views[0].axes)


@lowers("Transpose")
def _transpose(call: Call, builder: GraphBuilder) -> View:  # noqa: ARG001 - the signature of all lowerings
    """Nothing is rearranged before somebody reads what is laid out otherwise: many files transpose it back."""
    x = call.view(0)
    order = call.numbers("perm", range(len(x.axes))[::-1])
    return View(x.tensor, "".join(x.axes[axis] for axis in order))


@lowers(*RESHAPES)
def _reshape(call: Call, builder: GraphBuilder) -> View | Channels:
    if call.is_channels(0) and "C" not in call.channels(0, builder).axes:
        return _unsqueezed(call, builder)
    x = call.settled(0, builder)
    channels, *size = shape = builder.shape(x.tensor)
    if x.axes[0] != "N" or call.shape[:1] != (1,) or math.prod(call.shape) != math.prod(shape):
        raise call.refuse(f"reshapes {(1, *shape)}, laid out as {x.axes}, to {call.shape}")
    place = next((i for i, count in enumerate(call.shape) if i and count == channels), 0)
    if size in ([], [1, 1]) and place and math.prod(call.shape) == channels:
        return _of_one_pixel(call, builder, place)
    if call.shape == (1,):  # a vector of one number
        return View(x.tensor, "N")
    order = [axes_of(len(shape)).index(axis) - 1 for axis in x.axes[1:]] if size else [0]
    if call.shape[1:] == tuple(shape[axis] for axis in order):
        return x
    return View.of(builder.rearrange(call.name, x.tensor, Rearrange(shape, tuple(order), call.shape[1:])), builder)


def _of_one_pixel(call: Call, builder: GraphBuilder, place: int) -> View:
    """[N, C] or [N, C, 1, 1] with its channels at ``place``."""
    x, spatial = call.settled(0, builder), iter("HW")
    axes = "N" + "".join("C" if i == place else next(spatial, "?") for i in range(1, len(call.shape)))
    if axes == "NC":
        return View(builder.flatten(call.name, x.tensor), axes)
    return View(builder.of_rank(x.tensor, len(axes)), axes)


def _unsqueezed(call: Call, builder: GraphBuilder) -> Channels:
    """One channel that was taken out without its axis, with it."""
    x = call.channels(0, builder)
    places = [axis % len(call.shape) for axis in call.integers(1, "axes")]
    if call.op_type != "Unsqueeze" or "C" in x.axes or len(places) != 1:
        raise call.refuse("reshapes some channels of a tensor")
    return replace(x, axes=f"{x.axes[: places[0]]}C{x.axes[places[0] :]}")


@lowers("Identity")
def _identity(call: Call, builder: GraphBuilder) -> View:  # noqa: ARG001 - the signature of all lowerings
    return call.view(0)


@lowers("Dropout")
def _dropout(call: Call, builder: GraphBuilder) -> View:  # noqa: ARG001 - see above
    if np.any(call.constant(2)):
        raise call.refuse("is in training mode")
    return call.view(0)


@lowers("Cast")
def _cast(call: Call, builder: GraphBuilder) -> View:  # noqa: ARG001 - see above
    if call.number("to", 1) not in _FLOAT_TYPES:
        raise call.refuse("casts to integers")
    return call.view(0)
