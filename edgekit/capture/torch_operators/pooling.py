"""Means and other pooling."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.capture.average_pool import Averages, average_pool
from edgekit.capture.torch_call import Call, lowers
from edgekit.ir import MaxPool2d, Padding

if TYPE_CHECKING:
    from edgekit.capture.builder import GraphBuilder


@lowers("adaptive_avg_pool2d.default")
def _adaptive_avg_pool2d(call: Call, builder: GraphBuilder) -> str:
    x, wanted = call.activation("input"), call.pair("output_size")
    _, *size = builder.shape(x)
    if any(length % parts for length, parts in zip(size, wanted, strict=True)):
        raise call.refuse(
            f"pools {tuple(size)} pixels to {wanted}, in windows of different sizes",
            "let it pool to a size that divides, or take another --size",
        )
    kernel = (size[0] // wanted[0], size[1] // wanted[1])
    return average_pool(builder, call.name, x, Averages(kernel, kernel))


@lowers("avg_pool2d.default")
def _avg_pool2d(call: Call, builder: GraphBuilder) -> str:
    kernel, (vertical, horizontal) = call.pair("kernel_size"), call.pair("padding")
    averages = Averages(
        kernel,
        call.pair("stride") if call.numbers("stride") else kernel,
        Padding(vertical, vertical, horizontal, horizontal),
        ceil=bool(call.number("ceil_mode")),
        counts_padding=bool(call.number("count_include_pad")),
        divisor=int(call.number("divisor_override")) or None,
    )
    return average_pool(builder, call.name, call.activation("input"), averages)


@lowers("mean.dim")
def _mean(call: Call, builder: GraphBuilder) -> str:
    x = call.activation("input")
    axes = {axis % (1 + len(builder.shape(x))) for axis in call.numbers("dim")}
    if axes != {2, 3}:
        raise call.refuse(f"takes a mean over the axes {sorted(axes)} and not over height and width")
    return builder.mean(call.name, x)


@lowers("max_pool2d.default")
def _max_pool2d(call: Call, builder: GraphBuilder) -> str:
    kernel = call.pair("kernel_size")
    stride = call.pair("stride") if call.numbers("stride") else kernel
    (vertical, horizontal), dilation = call.pair("padding"), call.pair("dilation")
    padding = Padding(vertical, vertical, horizontal, horizontal)
    x, op = call.activation("input"), MaxPool2d(kernel, stride, padding, dilation)
    if call.number("ceil_mode"):
        _, height, width = builder.shape(x)
        op = replace(op, padding=padding.ceiled((height, width), op.reach, stride))
    return builder.apply(call.name, op, x)


@lowers("adaptive_max_pool2d.default")
def _adaptive_max_pool2d(call: Call, builder: GraphBuilder) -> tuple[str, None]:
    """The result, without the places that torch gives beside it."""
    x, (rows, columns) = call.activation("input"), call.pair("output_size")
    _, height, width = builder.shape(x)
    if height % rows or width % columns:
        raise call.refuse(f"pools {(height, width)} pixels to {(rows, columns)}, by windows of several sizes")
    kernel = height // rows, width // columns
    return builder.apply(call.name, MaxPool2d(kernel, kernel), x), None


@lowers("amax.default")
def _amax(call: Call, builder: GraphBuilder) -> str:
    x = call.activation("input")
    axes = {axis % (1 + len(builder.shape(x))) for axis in call.numbers("dim")}
    if axes != {2, 3}:
        raise call.refuse(f"takes the largest number over the axes {sorted(axes)} and not over height and width")
    _, height, width = builder.shape(x)
    pooled = builder.apply(call.name, MaxPool2d((height, width), (1, 1)), x)
    return pooled if call.number("keepdim") else builder.flatten(f"{call.name}.flatten", pooled)
