"""What moves values and computes nothing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edgekit.capture.torch_call import EVALUATE, EXPANSIONS, IMAGE_AXES, Call, lowers
from edgekit.ir import Concat, Padding, Rearrange

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.capture.builder import GraphBuilder


@lowers("cat.default")
def _cat(call: Call, builder: GraphBuilder) -> str:
    if int(call.number("dim")) % len(call.shape) != 1:
        raise call.refuse(f"joins tensors along axis {int(call.number('dim'))} and not along their channels")
    return builder.apply(call.name, Concat(), *call.activations("tensors"))


@lowers("pad.default", "constant_pad_nd.default")
def _pad(call: Call, builder: GraphBuilder) -> str:
    left, right, top, bottom, *others = (*call.numbers("pad"), 0, 0)
    mode = call.text("mode", default="constant")
    if mode != "constant" or call.number("value") != 0 or any(others):
        raise call.refuse(f"pads {call.numbers('pad')} in mode {mode!r} with {call.number('value')}")
    return builder.pad(call.name, call.activation("input"), Padding(top, bottom, left, right))


@lowers(
    "flatten.using_ints",
    "reshape.default",
    "slice.Tensor",  # of everything, as in x[:, :, None, None]: it changes the shape otherwise
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
