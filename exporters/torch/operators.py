"""One function an operator: the expression whose value is a node's output, in float and in integers side by side.

A float expression is that before the fused clamp. The clamp of an integer layer is nothing but the range of its output.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edgekit.exporters.torch import convolution, script
from edgekit.ir import (
    Add,
    Clamp,
    Concat,
    Conv2d,
    Dequantize,
    Flatten,
    HardSwish,
    Linear,
    Mean,
    Mul,
    Pad,
    Quantize,
    Requantize,
)
from edgekit.ir.operators.clamp import UNFUSED
from edgekit.ir.operators.hard_swish import LOWERED
from edgekit.ir.registry import OperatorTable, canonical

if TYPE_CHECKING:
    from edgekit.exporters.torch.writers import FloatWriter, IntegerWriter
    from edgekit.ir import Node

FLOAT: OperatorTable[[Node, FloatWriter], str] = OperatorTable("torch", canonical)
INTEGER: OperatorTable[[Node, IntegerWriter], str] = OperatorTable("torch int8", canonical)


@FLOAT.implements(Conv2d)
def _conv2d(op: Conv2d, node: Node, writer: FloatWriter) -> str:
    x, weight, bias = map(writer.operand, node.inputs)
    padding = script.symmetric(op.padding)
    if padding is None:
        x, padding = script.padded(x, op.padding), (0, 0)
    attributes = f"{list(op.stride)}, {list(padding)}, {list(op.dilation)}, {op.groups}"
    return f"torch.conv2d({x}, {weight}, {bias}, {attributes})"


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
    x, weight, bias = map(writer.operand, node.inputs)
    return f"torch.ops.aten.linear({x}, {weight}, {bias})"


@INTEGER.implements(Linear)
def _linear_stored(_: Linear, node: Node, writer: IntegerWriter) -> str:
    packed = torch.ops.quantized.linear_prepack(*writer.weight_and_bias(node))
    weight = writer.program.attribute(f"{node.name}.packed", packed)
    return _quantized("linear", node, writer, writer.operand(node.operand("x")), weight)


@FLOAT.implements(Add)
def _add(_: Add, node: Node, writer: FloatWriter) -> str:
    a, b = map(writer.operand, node.inputs)
    return f"torch.add({a}, {b})"


@INTEGER.implements(Add)
def _add_stored(_: Add, node: Node, writer: IntegerWriter) -> str:
    return _quantized("add", node, writer, *map(writer.operand, node.inputs))


@FLOAT.implements(Mul)
def _mul(_: Mul, node: Node, writer: FloatWriter) -> str:
    a, b = map(writer.operand, node.inputs)
    return f"torch.mul({a}, {b})"


@INTEGER.implements(Mul)
def _mul_stored(_: Mul, node: Node, writer: IntegerWriter) -> str:
    return _quantized("mul", node, writer, *map(writer.operand, node.inputs))


@FLOAT.implements(Mean)
def _mean(op: Mean, node: Node, writer: FloatWriter) -> str:
    x = writer.operand(node.operand("x"))
    return f"torch.mean({x}, [2, 3], {op.keep_dims})"


@INTEGER.implements(Mean)
def _mean_stored(op: Mean, node: Node, writer: IntegerWriter) -> str:
    x = node.operand("x")
    _, height, width = writer.model.graph.tensors[x].shape
    summands = height * width
    return writer.program.call(
        "mean", writer.operand(x), op.keep_dims, writer.zero_point(x) * summands, writer.scale(x) / summands,
        writer.scale(node.output), writer.zero_point(node.output),
    )  # fmt: skip


@FLOAT.implements(Pad)
def _pad(op: Pad, node: Node, writer: FloatWriter) -> str:
    return script.padded(writer.operand(node.operand("x")), op.padding)


@INTEGER.implements(Pad)
def _pad_stored(op: Pad, node: Node, writer: IntegerWriter) -> str:
    return writer.padded(node.operand("x"), op.padding)


@FLOAT.implements(Flatten)
def _flatten(_: Flatten, node: Node, writer: FloatWriter) -> str:
    x = writer.operand(node.operand("x"))
    return f"torch.flatten({x}, 1)"


@INTEGER.implements(Flatten)
def _flatten_stored(_: Flatten, node: Node, writer: IntegerWriter) -> str:
    x = writer.operand(node.operand("x"))
    return f"torch.flatten({x}, 1)"


@FLOAT.implements(Concat)
def _concat(_: Concat, node: Node, writer: FloatWriter) -> str:
    return f"torch.cat([{', '.join(map(writer.operand, node.operands('xs')))}], 1)"


@INTEGER.implements(Concat)
def _concat_stored(_: Concat, node: Node, writer: IntegerWriter) -> str:
    """Tensors of one scale keep their integers (cat_quantized_cpu in ATen/native/quantized/cpu/TensorShape.cpp)."""
    return f"torch.cat([{', '.join(map(writer.operand, node.operands('xs')))}], 1)"


@FLOAT.implements(HardSwish)
def _hard_swish(_: HardSwish, node: Node, writer: FloatWriter) -> str:
    x = writer.operand(node.operand("x"))
    return f"torch.ops.aten.hardswish({x})"


INTEGER.refuses(HardSwish, LOWERED)
FLOAT.refuses(Clamp, UNFUSED)
INTEGER.refuses(Clamp, UNFUSED)


@INTEGER.implements(Quantize)
def _quantize(_: Quantize, node: Node, writer: IntegerWriter) -> str:
    x, scale, zero_point = writer.operand(node.operand("x")), writer.scale(node.output), writer.zero_point(node.output)
    return f"torch.quantize_per_tensor({x}, {scale!r}, {zero_point}, torch.quint8)"


@INTEGER.implements(Dequantize)
def _dequantize(_: Dequantize, node: Node, writer: IntegerWriter) -> str:
    x = writer.operand(node.operand("x"))
    return f"torch.dequantize({x})"


INTEGER.refuses(Requantize, "it has no activations of 16 bits")
for _border in (Quantize, Requantize, Dequantize):
    FLOAT.refuses(_border, "float networks hold no integers")


def _quantized(operator: str, node: Node, writer: IntegerWriter, *operands: str) -> str:
    """A call of torch.ops.quantized: the operands, then the scale and zero point of the output."""
    scale, zero_point = writer.scale(node.output), writer.zero_point(node.output)
    return f"torch.ops.quantized.{operator}({', '.join(operands)}, {scale!r}, {zero_point})"
