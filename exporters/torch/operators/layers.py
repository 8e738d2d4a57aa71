"""Layers with weights, and batch normalization."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edgekit.exporters.torch import convolution, script
from edgekit.exporters.torch.operators.arithmetic import _quantized
from edgekit.exporters.torch.operators.table import FLOAT, INTEGER
from edgekit.ir import (
    Conv2d,
    Linear,
)

if TYPE_CHECKING:
    from edgekit.exporters.torch.writers import FloatWriter, IntegerWriter
    from edgekit.ir import Node


@FLOAT.implements(Conv2d)
def _conv2d(op: Conv2d, node: Node, writer: FloatWriter) -> str:
    if node.operand("weight") in writer.dynamic and _is_pointwise(op, node, writer):
        rows = f"torch.permute({writer.operand(node.operand('x'))}, [0, 2, 3, 1])"
        return f"torch.permute({writer.dynamic_linear(node, rows)}, [0, 3, 1, 2])"
    x, weight, bias = map(writer.operand, node.inputs)
    padding = script.symmetric(op.padding)
    if padding is None:
        x, padding = script.padded(x, op.padding), (0, 0)
    attributes = f"{list(op.stride)}, {list(padding)}, {list(op.dilation)}, {op.groups}"
    return f"torch.conv2d({x}, {weight}, {bias}, {attributes})"


def _is_pointwise(op: Conv2d, node: Node, writer: FloatWriter) -> bool:
    """Whether a convolution is a product of each pixel's channels: all that torch computes so.

    ``quantized::conv2d_dynamic`` gives its results on the grid of its input, which cuts them off
    (aten/src/ATen/native/quantized/cpu/qconv_dynamic.cpp; torch 2.13, every engine).
    """
    is_one = writer.graph.constants[node.operand("weight")].shape[2:] == (1, 1)
    return is_one and op.stride == (1, 1) and not op.padding and op.groups == 1


@INTEGER.implements(Conv2d)
def _conv2d_stored(op: Conv2d, node: Node, writer: IntegerWriter) -> str:
    form = convolution.form(op, writer.model.graph.constants[node.operand("weight")].shape, writer.engine)
    packed = torch.ops.quantized.conv2d_prepack(
        *writer.weight_and_bias(node, form.merged),
        list(op.stride),
        list(form.inside),
        list(op.dilation),
        op.groups // form.merged,
    )
    x = writer.padded(node.operand("x"), form.outside)
    result = _quantized("conv2d", node, writer, x, writer.program.attribute(f"{node.name}.packed", packed))
    return writer.program.call("crop", result, *form.surplus) if any(form.surplus) else result


@FLOAT.implements(Linear)
def _linear(_: Linear, node: Node, writer: FloatWriter) -> str:
    if node.operand("weight") in writer.dynamic:
        return writer.dynamic_linear(node, writer.operand(node.operand("x")))
    x, weight, bias = map(writer.operand, node.inputs)
    return f"torch.ops.aten.linear({x}, {weight}, {bias})"


@INTEGER.implements(Linear)
def _linear_stored(_: Linear, node: Node, writer: IntegerWriter) -> str:
    packed = torch.ops.quantized.linear_prepack(*writer.weight_and_bias(node))
    weight = writer.program.attribute(f"{node.name}.packed", packed)
    return _quantized("linear", node, writer, writer.operand(node.operand("x")), weight)
