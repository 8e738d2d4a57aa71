"""Layers with weights, and batch normalization."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.capture.builder import with_gaps
from edgekit.capture.onnx_call import View, lowers
from edgekit.ir import Padding, TransposedConv2d
from edgekit.ir.operators.padding import Same

if TYPE_CHECKING:
    from edgekit.capture.builder import GraphBuilder
    from edgekit.capture.onnx_call import Call


@lowers("Conv")
def _conv(call: Call, builder: GraphBuilder) -> View:
    stride = call.numbers("strides", (1, 1))
    top, left, bottom, right = call.numbers("pads", (0, 0, 0, 0))
    padding: Padding | Same = Padding(top, bottom, left, right)
    if (auto_pad := call.text("auto_pad", "NOTSET")).startswith("SAME"):
        padding = Same.UPPER if auto_pad == "SAME_UPPER" else Same.LOWER
    made = builder.conv2d(
        call.name,
        call.image(0, builder),
        call.array(1),
        call.constant(2),
        stride=(stride[0], stride[1]),
        padding=padding,
        dilation=call.numbers("dilations", (1, 1)),
        groups=int(call.number("group", 1)),
    )
    return View(made, "NCHW")


@lowers("Gemm")
def _gemm(call: Call, builder: GraphBuilder) -> View:
    x, weight, bias = call.view(0), call.array(1), call.constant(2)
    if x.axes != "NC" or call.number("transA", 0):
        raise call.refuse(f"reads a tensor laid out as {x.axes} or transposed")
    weight = (weight if call.number("transB", 0) else weight.T) * call.number("alpha", 1)  # [O, I]
    if bias is not None:
        bias = np.broadcast_to(bias * call.number("beta", 1), (1, weight.shape[0]))[0]
    return View(builder.linear(call.name, x.tensor, weight, bias), "NC")


@lowers("MatMul")
def _mat_mul(call: Call, builder: GraphBuilder) -> View:
    x, weight = call.view(0), call.array(1).T  # [O, I]
    if x.axes == "NC":
        return View(builder.linear(call.name, x.tensor, weight, None), x.axes)
    if x.axes != "NHWC":
        if weight.ndim != 2 or x.axes[0] != "N" or len(builder.shape(x.tensor)) != len(x.axes) - 1:
            raise call.refuse(f"multiplies a tensor laid out as {x.axes} by one of the shape {weight.shape}")
        rows = x.as_it_is(f"{call.name}.layout", builder).tensor
        return View.of(builder.linear_at_places(call.name, rows, weight, None), builder)
    # A dense layer of Keras on feature maps: the same at every pixel.
    made = builder.conv2d(
        call.name,
        x.tensor,
        weight[:, :, None, None],
        None,
    )
    return View(made, x.axes)


@lowers("BatchNormalization")
def _batch_normalization(call: Call, builder: GraphBuilder) -> View:
    x = call.view(0)
    if x.axes[1:2] != "C" or call.number("training_mode", 0):
        raise call.refuse(f"reads a tensor laid out as {x.axes}, or is in training mode")
    weight, bias, mean, variance = (call.array(index) for index in range(1, 5))
    made = builder.batch_norm(
        call.name,
        x.tensor,
        weight=weight,
        bias=bias,
        running_mean=mean,
        running_var=variance,
        eps=call.number("epsilon", 1e-5),
    )
    return View(made, x.axes)


@lowers("ConvTranspose")
def _conv_transpose(call: Call, builder: GraphBuilder) -> View:
    """Source: https://onnx.ai/onnx/operators/onnx__ConvTranspose.html."""
    x, bias = call.image(0, builder), call.constant(2)
    weight = with_gaps(call.array(1), call.numbers("dilations", (1, 1)))
    stride, more = call.numbers("strides", (1, 1)), call.numbers("output_padding", (0, 0))
    top, left, bottom, right = call.numbers("pads", (0, 0, 0, 0))
    auto_pad = call.text("auto_pad", "NOTSET")
    if call.numbers("output_shape") or auto_pad.startswith("SAME"):
        _, *size = builder.shape(x)
        off = [
            max(step * (length - 1) + behind + reach - made, 0)
            for length, step, behind, reach, made in zip(
                size, stride, more, weight.shape[2:], call.shape[2:], strict=True
            )
        ]
        missing = [
            max(made - step * (length - 1) - behind - reach, 0)
            for length, step, behind, reach, made in zip(
                size, stride, more, weight.shape[2:], call.shape[2:], strict=True
            )
        ]
        more = tuple(behind + beyond for behind, beyond in zip(more, missing, strict=True))
        (top, left), (bottom, right) = [total // 2 for total in off], [total - total // 2 for total in off]
        if auto_pad != "SAME_UPPER":
            top, left, bottom, right = bottom, right, top, left
    op = TransposedConv2d(
        (stride[0], stride[1]), Padding(top, bottom, left, right), (more[0], more[1]), int(call.number("group", 1))
    )
    return View(builder.transposed_conv2d(call.name, x, weight, bias, op), "NCHW")
