"""What moves values and computes nothing."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Final

from edgekit.capture.torch_call import EVALUATE, EXPANSIONS, IMAGE_AXES, Call, lowers
from edgekit.ir import Concat, Padding, Part, Rearrange, Slice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.capture.builder import Copies, GraphBuilder

_PADDINGS: Final[dict[str, Copies]] = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
_POOL_PADS = "let the max pool behind it pad, padding=…, which leaves the borders out"


@lowers("cat.default")
def _cat(call: Call, builder: GraphBuilder) -> str:
    axis = int(call.number("dim")) % len(call.shape)
    if axis == 0:
        raise call.refuse("joins tensors along the batch")
    return builder.apply(call.name, Concat(axis - 1), *call.activations("tensors"))


@lowers("stack.default")
def _stack(call: Call, builder: GraphBuilder) -> str:
    axis = int(call.number("dim")) % len(call.shape)
    if axis == 0:
        raise call.refuse("joins tensors along the batch")
    one = (*call.shape[1:axis], 1, *call.shape[axis + 1 :])
    tensors = (builder.rearrange(f"{call.name}.axis", x, Rearrange.reshape(one)) for x in call.activations("tensors"))
    return builder.apply(call.name, Concat(axis - 1), *tensors)


@lowers("pad.default", "constant_pad_nd.default")
def _pad(call: Call, builder: GraphBuilder) -> str:
    left, right, top, bottom, first, last, *others = (*call.numbers("pad"), *[0] * 4)
    mode, x, value = call.text("mode", default="constant"), call.activation("input"), call.number("value")
    if any(others) or len(builder.shape(x)) != IMAGE_AXES:
        raise call.refuse(f"pads {call.numbers('pad')} a tensor of the shape {call.shape_of('input')}")
    if mode == "constant":
        if value != 0:
            remedy = f"pad(x - {value:g}, …) + {value:g} is the same" if math.isfinite(value) else _POOL_PADS
            raise call.refuse(f"pads with {value:g}", remedy)
        return builder.pad(call.name, x, Padding(top, bottom, left, right), (first, last))
    if first or last or min(left, right, top, bottom) < 0:
        raise call.refuse(f"pads {call.numbers('pad')} in mode {mode!r}", "pad height and width, and crop by slices")
    return builder.pad_by_copies(call.name, x, Padding(top, bottom, left, right), _PADDINGS[mode])


@lowers("slice.Tensor")
def _slice(call: Call, builder: GraphBuilder) -> str:
    start, end = (None if call.is_left_out(name) else int(call.number(name)) for name in ("start", "end"))
    return _part(call, builder, slice(start, end, int(call.number("step", 1))))


@lowers("narrow.default")
def _narrow(call: Call, builder: GraphBuilder) -> str:
    start = int(call.number("start"))
    return _part(call, builder, slice(start, start + int(call.number("length"))))


@lowers("select.int")
def _select(call: Call, builder: GraphBuilder) -> str:
    size, index = call.shape_of("input")[int(call.number("dim"))], int(call.number("index"))
    taken = _part(call, builder, slice(index % size, index % size + 1))
    return builder.rearrange(f"{call.name}.axis", taken, Rearrange.reshape(call.shape[1:]))


@lowers("split.Tensor", "split_with_sizes.default", "chunk.default")
def _split(call: Call, builder: GraphBuilder) -> tuple[str, ...]:
    axis = int(call.number("dim")) % len(call.shape)
    ends = list(itertools.accumulate(shape[axis] for shape in call.shapes))
    return tuple(_part(call, builder, slice(*ends)) for ends in itertools.pairwise([0, *ends]))


@lowers("unbind.int")
def _unbind(call: Call, builder: GraphBuilder) -> tuple[str, ...]:
    parts = (_part(call, builder, slice(place, place + 1)) for place in range(len(call.shapes)))
    return tuple(builder.rearrange(f"{call.name}.axis", part, Rearrange.reshape(call.shape[1:])) for part in parts)


def _part(call: Call, builder: GraphBuilder, places: slice) -> str:
    """Some places of the axis "dim" of "input"."""
    x, shape = call.activation("input"), call.shape_of("input")
    axis = int(call.number("dim")) % len(shape)
    part = Part.of(places, shape[axis])
    if part == Part(0, shape[axis]):
        return x
    if axis == 0:
        raise call.refuse("takes a part of the batch")
    if len(builder.shape(x)) != len(shape) - 1:  # [C], [C, 1] and [C, 1, 1] are alike until somebody asks
        x = builder.rearrange(f"{call.name}.shape", x, Rearrange.reshape(shape[1:]))
    return builder.slice(call.name, x, Slice.along(shape[1:], axis - 1, part))


@lowers(
    "flatten.using_ints",
    "reshape.default",
    "squeeze.default",
    "squeeze.dim",
    "squeeze.dims",
    "unflatten.int",
    "unsqueeze.default",
    "view.default",
)
def _reshape(call: Call, builder: GraphBuilder) -> str:
    x = call.activation("input")
    batch, *shape = call.shape
    if batch != 1 or math.prod(shape) != math.prod(builder.shape(x)):
        raise call.refuse(f"reshapes from {(1, *builder.shape(x))} to {call.shape}")
    return builder.reshape(call.name, x, tuple(shape))


@lowers("permute.default")
def _permute(call: Call, builder: GraphBuilder) -> str:
    return _transposed(call, builder, call.numbers("dims"))


@lowers("transpose.int")
def _transpose(call: Call, builder: GraphBuilder) -> str:
    order = list(range(len(call.shape)))
    first, second = (int(call.number(name)) for name in ("dim0", "dim1"))
    order[first], order[second] = order[second], order[first]
    return _transposed(call, builder, order)


def _transposed(call: Call, builder: GraphBuilder, order: Sequence[int]) -> str:
    """The axes of the operand, the batch included, in another order."""
    rank = len(call.shape)
    first, *others = (axis % rank for axis in order)
    if first != 0:
        raise call.refuse(f"moves the batch, in the order {tuple(order)}")
    before = [0] * rank
    for place, axis in enumerate([first, *others]):
        before[axis] = call.shape[place]
    rearrangement = Rearrange.transpose(before[1:], [axis - 1 for axis in others])
    return builder.rearrange(call.name, call.activation("input"), rearrangement)


@lowers("channel_shuffle.default", "native_channel_shuffle.default")
def _channel_shuffle(call: Call, builder: GraphBuilder) -> str:
    x, groups = call.activation("input"), int(call.number("groups"))
    channels, height, width = builder.shape(x)
    parts = (groups, channels // groups, height, width)
    return builder.rearrange(call.name, x, Rearrange(parts, (1, 0, 2, 3), (channels, height, width)))


@lowers("pixel_shuffle.default")
def _pixel_shuffle(call: Call, builder: GraphBuilder) -> str:
    """Channels are (C, row, column)."""
    x, block = call.activation("input"), int(call.number("upscale_factor"))
    _, height, width = builder.shape(x)
    _, channels, *size = call.shape
    parts = (channels, block, block, height, width)
    return builder.rearrange(call.name, x, Rearrange(parts, (0, 3, 1, 4, 2), (channels, *size)))


@lowers("pixel_unshuffle.default")
def _pixel_unshuffle(call: Call, builder: GraphBuilder) -> str:
    x, block = call.activation("input"), int(call.number("downscale_factor"))
    channels, *_ = builder.shape(x)
    _, made, height, width = call.shape
    parts = (channels, height, block, width, block)
    return builder.rearrange(call.name, x, Rearrange(parts, (0, 2, 4, 1, 3), (made, height, width)))


@lowers(*EXPANSIONS)
def _expand(call: Call, builder: GraphBuilder) -> str:
    # The gates of squeeze-and-excite: multiplication repeats them by itself.
    x = call.activation("input")
    if len(call.shape) != 1 + IMAGE_AXES or builder.shape(x) not in {call.shape[1:], (call.shape[1], 1, 1)}:
        raise call.refuse(f"repeats {(1, *builder.shape(x))} to {call.shape}")
    return x


@lowers(
    "_to_copy.default",
    "alias.default",
    "clone.default",
    "contiguous.default",
    "detach.default",
    "detach_.default",
    "to.dtype",
)
def _same_values(call: Call, builder: GraphBuilder) -> str:  # noqa: ARG001 - the signature of all lowerings
    return call.activation("input")


@lowers("dropout.default", "dropout_.default", "feature_dropout.default")
def _dropout(call: Call, builder: GraphBuilder) -> str:  # noqa: ARG001 - see above
    if call.number("train"):
        raise call.refuse("drops values at random", EVALUATE)
    return call.activation("input")
