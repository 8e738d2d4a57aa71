"""Means and other pooling."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.capture import reductions
from edgekit.capture.average_pool import Averages, average_pool
from edgekit.capture.torch_call import IMAGE_AXES, Call, lowers
from edgekit.ir import MaxPool2d, Padding

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from edgekit.capture.builder import GraphBuilder

_DIVIDING = "let it pool to a size that divides, or take another resolution"


@lowers("adaptive_avg_pool2d.default")
def _adaptive_avg_pool2d(call: Call, builder: GraphBuilder) -> str:
    x, wanted = call.activation("input"), call.pair("output_size")
    _, *size = builder.shape(x)
    if any(length % parts for length, parts in zip(size, wanted, strict=True)):
        raise call.refuse(
            f"pools {tuple(size)} pixels to {wanted}, in windows of different sizes",
            _DIVIDING,
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
    return _reduced(call, builder, reductions.mean, call.numbers("dim"))


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
        raise call.refuse(
            f"pools {(height, width)} pixels to {(rows, columns)}, in windows of different sizes", _DIVIDING
        )
    kernel = height // rows, width // columns
    return builder.apply(call.name, MaxPool2d(kernel, kernel), x), None


@lowers("amax.default")
def _amax(call: Call, builder: GraphBuilder) -> str:
    return _reduced(call, builder, reductions.largest, call.numbers("dim"))


@lowers("max.dim")
def _max(call: Call, builder: GraphBuilder) -> tuple[str, None]:
    """The result, without the places that torch gives beside it."""
    return _reduced(call, builder, reductions.largest, (int(call.number("dim")),)), None


def _reduced(
    call: Call,
    builder: GraphBuilder,
    reduce: Callable[[GraphBuilder, str, str, Collection[int]], str],
    dims: Collection[int],
) -> str:
    """Feature maps reduced along axes, the batch counted; along all of them where none is named."""
    x, rank = call.activation("input"), len(call.shape_of("input"))
    axes = {dim % rank - 1 for dim in dims} or set(range(-1, rank - 1))
    if -1 in axes:
        raise call.refuse("takes the batch together with the image", "name the other axes, as dim=(1, 2, 3)")
    if rank != 1 + IMAGE_AXES or len(builder.shape(x)) != IMAGE_AXES:
        raise call.refuse(f"reduces a tensor of the shape {call.shape_of('input')}", "reduce the feature map before it")
    made = reduce(builder, call.name, x, axes)
    _, *shape = call.shape
    if not shape:
        raise call.refuse("gives one number without an axis", "keep the axes, keepdim=True")
    of_one_pixel = builder.shape(made)[1:] == (1, 1)  # which stays an image until somebody asks
    return made if of_one_pixel else builder.reshape(f"{call.name}.shape", made, tuple(shape))
