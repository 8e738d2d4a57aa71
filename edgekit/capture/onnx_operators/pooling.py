"""Means and other pooling."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.capture.average_pool import Averages, average_pool
from edgekit.capture.onnx_call import View, lowers
from edgekit.ir import MaxPool2d, Padding
from edgekit.ir.operators.padding import Same

if TYPE_CHECKING:
    from edgekit.capture.builder import GraphBuilder
    from edgekit.capture.onnx_call import Call


@lowers("GlobalAveragePool")
def _global_average_pool(call: Call, builder: GraphBuilder) -> View:
    return View(builder.mean(call.name, call.image(0, builder)), "NCHW")


@lowers("AveragePool")
def _average_pool(call: Call, builder: GraphBuilder) -> View:
    x, (height, width) = call.image(0, builder), call.numbers("kernel_shape")
    stride, (top, left, bottom, right) = call.numbers("strides", (1, 1)), call.numbers("pads", (0, 0, 0, 0))
    if set(call.numbers("dilations", (1, 1))) != {1}:
        raise call.refuse("has gaps in its windows")
    padding = Padding(top, bottom, left, right)
    if (auto_pad := call.text("auto_pad", "NOTSET")).startswith("SAME"):
        _, *size = builder.shape(x)
        padding = (Same.UPPER if auto_pad == "SAME_UPPER" else Same.LOWER).padding(
            (size[0], size[1]), (height, width), (stride[0], stride[1])
        )
    averages = Averages(
        (height, width),
        (stride[0], stride[1]),
        padding,
        ceil=bool(call.number("ceil_mode", 0)),
        counts_padding=bool(call.number("count_include_pad", 0)),
    )
    return View(average_pool(builder, call.name, x, averages), "NCHW")


@lowers("ReduceMean")
def _reduce_mean(call: Call, builder: GraphBuilder) -> View:
    x = call.view(0)
    reduced = {x.axes[axis] for axis in call.integers(1, "axes")}
    if reduced != {"H", "W"}:
        raise call.refuse(f"takes a mean over {sorted(reduced) or 'all axes'} and not over height and width")
    kept = x.axes if call.number("keepdims", 1) else "NC"
    return View(builder.mean(call.name, x.tensor), kept)


@lowers("MaxPool")
def _max_pool(call: Call, builder: GraphBuilder) -> View:
    x, kernel = call.image(0, builder), call.pair("kernel_shape", (1, 1))
    stride, dilation = call.pair("strides", (1, 1)), call.pair("dilations", (1, 1))
    _, height, width = builder.shape(x)
    top, left, bottom, right = call.numbers("pads", (0, 0, 0, 0))
    op = MaxPool2d(kernel, stride, Padding(top, bottom, left, right), dilation)
    if (auto_pad := call.text("auto_pad", "NOTSET")).startswith("SAME"):
        same = Padding.same((height, width), op.reach, stride)
        lower = Padding(same.bottom, same.top, same.right, same.left)
        op = replace(op, padding=same if auto_pad == "SAME_UPPER" else lower)
    elif call.number("ceil_mode", 0):
        op = replace(op, padding=op.padding.ceiled((height, width), op.reach, stride))
    made = View(builder.apply(call.name, op, x), "NCHW")
    if call.shape and call.shape[1:] != builder.shape(made.tensor):
        raise call.refuse(f"gives {call.shape}, which is another number of windows than torch takes")
    return made


@lowers("GlobalMaxPool")
def _global_max_pool(call: Call, builder: GraphBuilder) -> View:
    x = call.image(0, builder)
    _, height, width = builder.shape(x)
    return View(builder.apply(call.name, MaxPool2d((height, width), (1, 1)), x), "NCHW")
