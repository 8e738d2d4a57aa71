"""Layers with weights, and batch normalization."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.capture.builder import with_gaps
from edgekit.capture.torch_call import EVALUATE, Call, lowers
from edgekit.ir import Padding, Rearrange, TransposedConv2d
from edgekit.ir.operators.padding import Same

if TYPE_CHECKING:
    from edgekit.capture.builder import GraphBuilder

_TRACK = (
    "put nn.BatchNorm2d(channels, momentum=None) with its weight and bias in its place, and let training images pass "
    "in train mode, which averages their statistics"
)


@lowers("conv2d.default")
def _conv2d(call: Call, builder: GraphBuilder) -> str:
    vertical, horizontal = call.pair("padding")
    return _convolution(call, builder, Padding(vertical, vertical, horizontal, horizontal))


@lowers("conv2d.padding")
def _conv2d_named(call: Call, builder: GraphBuilder) -> str:
    return _convolution(call, builder, Same.UPPER if call.text("padding") == "same" else Padding())


def _convolution(call: Call, builder: GraphBuilder, padding: Padding | Same) -> str:
    return builder.conv2d(
        call.name,
        call.activation("input"),
        call.array("weight"),
        call.constant("bias"),
        stride=call.pair("stride"),
        padding=padding,
        dilation=call.pair("dilation"),
        groups=int(call.number("groups")),
    )


@lowers("linear.default")
def _linear(call: Call, builder: GraphBuilder) -> str:
    x, (_, *shape) = call.activation("input"), call.shape_of("input")
    weight, bias = call.array("weight"), call.constant("bias")
    if len(shape) == 1:
        return builder.linear(call.name, x, weight, bias)
    x = builder.rearrange(f"{call.name}.shape", x, Rearrange.reshape(tuple(shape)))
    return builder.linear_at_places(call.name, x, weight, bias)


@lowers("batch_norm.default")
def _batch_norm(call: Call, builder: GraphBuilder) -> str:
    if call.is_left_out("running_mean"):
        raise call.refuse(
            "normalizes by the batch, having no statistics of training (track_running_stats=False)", _TRACK
        )
    if call.number("training"):
        raise call.refuse("normalizes by the batch", EVALUATE)
    mean, variance = call.array("running_mean"), call.array("running_var")
    weight, bias = call.constant("weight"), call.constant("bias")
    return builder.batch_norm(
        call.name,
        call.activation("input"),
        weight=np.ones_like(mean) if weight is None else weight,
        bias=np.zeros_like(mean) if bias is None else bias,
        running_mean=mean,
        running_var=variance,
        eps=call.number("eps"),
    )


@lowers("conv_transpose2d.input")
def _conv_transpose2d(call: Call, builder: GraphBuilder) -> str:
    vertical, horizontal = call.pair("padding")
    op = TransposedConv2d(
        call.pair("stride"),
        Padding(vertical, vertical, horizontal, horizontal),
        call.pair("output_padding"),
        int(call.number("groups")),
    )
    weight = with_gaps(call.array("weight"), call.pair("dilation"))
    return builder.transposed_conv2d(call.name, call.activation("input"), weight, call.constant("bias"), op)
