"""Means and other pooling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.capture.torch_call import Call, lowers

if TYPE_CHECKING:
    from edgekit.capture.builder import GraphBuilder


@lowers("adaptive_avg_pool2d.default")
def _adaptive_avg_pool2d(call: Call, builder: GraphBuilder) -> str:
    if call.pair("output_size") != (1, 1):
        raise call.refuse(f"pools to {call.pair('output_size')} and not to one pixel")
    return builder.mean(call.name, call.activation("input"))


@lowers("avg_pool2d.default")
def _avg_pool2d(call: Call, builder: GraphBuilder) -> str:
    x = call.activation("input")
    if call.pair("kernel_size") != builder.shape(x)[1:] or any(call.numbers("padding")):
        raise call.refuse(f"pools {call.pair('kernel_size')} of {builder.shape(x)[1:]} pixels and not all of them")
    return builder.mean(call.name, x)


@lowers("mean.dim")
def _mean(call: Call, builder: GraphBuilder) -> str:
    x = call.activation("input")
    axes = {axis % (1 + len(builder.shape(x))) for axis in call.numbers("dim")}
    if axes != {2, 3}:
        raise call.refuse(f"takes a mean over the axes {sorted(axes)} and not over height and width")
    return builder.mean(call.name, x)
