"""Means and other pooling."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.capture import reductions
from edgekit.capture.average_pool import Averages, average_pool
from edgekit.capture.onnx_call import View, lowers
from edgekit.ir import MaxPool2d, Padding, Rearrange
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


@lowers("ReduceMean", "ReduceMax")
def _reduced(call: Call, builder: GraphBuilder) -> View:
    x = call.view(0)
    reduced = {x.axes[axis] for axis in call.integers(1, "axes")} or set(x.axes)
    shape = builder.shape(x.tensor)
    if sorted(x.axes) != sorted("NCHW") or len(shape) != len("CHW") or "N" in reduced or reduced == set("CHW"):
        raise call.refuse(f"reduces a tensor laid out as {x.axes} along {sorted(reduced)}")
    reduce = reductions.mean if call.op_type == "ReduceMean" else reductions.largest
    made = reduce(builder, call.name, x.tensor, {"CHW".index(axis) for axis in reduced})
    if call.number("keepdims", 1):
        return View(made, x.axes)
    if reduced == {"H", "W"}:
        return View(made, "NC")
    kept = ["CHW".index(axis) for axis in x.axes if axis not in {"N", *reduced}]
    order = (*kept, *({0, 1, 2} - {*kept}))
    moved = Rearrange(builder.shape(made), order, tuple(shape[axis] for axis in kept))
    return View.of(builder.rearrange(f"{call.name}.shape", made, moved), builder)


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
