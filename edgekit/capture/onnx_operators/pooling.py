"""Means and other pooling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.capture.onnx_call import View, lowers

if TYPE_CHECKING:
    from edgekit.capture.builder import GraphBuilder
    from edgekit.capture.onnx_call import Call


@lowers("GlobalAveragePool")
def _global_average_pool(call: Call, builder: GraphBuilder) -> View:
    return View(builder.mean(call.name, call.image(0, builder)), "NCHW")


@lowers("AveragePool")
def _average_pool(call: Call, builder: GraphBuilder) -> View:
    x, kernel = call.image(0, builder), call.numbers("kernel_shape")
    if kernel != builder.shape(x)[1:] or any(call.numbers("pads")) or call.shape[2:] != (1, 1):
        raise call.refuse(f"pools {kernel} of {builder.shape(x)[1:]} pixels and not all of them")
    return View(builder.mean(call.name, x), "NCHW")


@lowers("ReduceMean")
def _reduce_mean(call: Call, builder: GraphBuilder) -> View:
    x = call.view(0)
    reduced = {x.axes[axis] for axis in call.integers(1, "axes")}
    if reduced != {"H", "W"}:
        raise call.refuse(f"takes a mean over {sorted(reduced) or 'all axes'} and not over height and width")
    kept = x.axes if call.number("keepdims", 1) else "NC"
    return View(builder.mean(call.name, x.tensor), kept)
