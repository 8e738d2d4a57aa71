"""What moves values and computes nothing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edgekit.capture.torch_call import EVALUATE, EXPANSIONS, IMAGE_AXES, Call, lowers
from edgekit.capture.torch_operators.pooling import POOL
from edgekit.ir import Concat, Padding

if TYPE_CHECKING:
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
    "unsqueeze.default",
    "view.default",
)
def _reshape(call: Call, builder: GraphBuilder) -> str:
    x = call.activation("input")
    before, (batch, *after) = builder.shape(x), call.shape
    moves_nothing = before[1:] in {(), (1, 1)} and after[:1] == [before[0]] and all(size == 1 for size in after[1:])
    if batch != 1 or not (moves_nothing or after == list(before)):
        remedy = POOL if after == [math.prod(before)] else ""
        raise call.refuse(f"reshapes from {(1, *before)} to {call.shape}", remedy)
    if len(after) == 1:
        return builder.flatten(call.name, x)
    return builder.image(x) if len(after) == IMAGE_AXES else x


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
