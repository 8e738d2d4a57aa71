"""One function an operator: a Node of the canonical graph, written as ONNX nodes.

The same functions serve float and integer models: every result is written under its raw name, and the builder quantizes it
where there are parameters. In an integer model a fused clamp is nothing but the output's range.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from edgekit.exporters.onnx.builder import OnnxBuilder
from edgekit.ir import Add, Conv2d, Flatten, HardSwish, Linear, Mean, Mul, Pad
from edgekit.ir.registry import OperatorTable

if TYPE_CHECKING:
    from edgekit.ir import Node

OPERATORS: OperatorTable[Callable[[Node, OnnxBuilder], None]] = OperatorTable("ONNX")


def _emit(node: Node, model: OnnxBuilder, op_type: str, inputs: list[str], **attributes: object) -> None:
    """Write the node that computes ``node``, its fused clamp, and the quantization of its result."""
    raw = model.raw(node.output)
    if node.activation is None:
        model.node(op_type, inputs, raw, **attributes)
    else:
        inner = model.node(op_type, inputs, f"{node.output}.unclamped", **attributes)
        _clamp(node, model, inner, raw)
    model.finish_activation(node.output)


def _clamp(node: Node, model: OnnxBuilder, source: str, target: str) -> None:
    assert node.activation is not None
    if (node.activation.low, node.activation.high) == (0.0, math.inf):
        model.node("Relu", [source], target)
        return
    low = model.array(f"{node.output}.low", np.array(node.activation.low, model.dtype))
    high = [] if node.activation.high == math.inf else [
        model.array(f"{node.output}.high", np.array(node.activation.high, model.dtype))
    ]  # fmt: skip
    model.node("Clip", [source, low, *high], target)


@OPERATORS.implements(Conv2d)
def _conv2d(node: Node, model: OnnxBuilder) -> None:
    assert isinstance(node.op, Conv2d)
    x, weight, bias = node.inputs
    p = node.op.padding
    _emit(
        node, model, "Conv", [x, model.weight(weight), model.bias(bias, x, weight)],
        kernel_shape=model.graph.constants[weight].shape[2:], strides=node.op.stride,
        pads=[p.top, p.left, p.bottom, p.right], group=node.op.groups,
    )  # fmt: skip


@OPERATORS.implements(Linear)
def _linear(node: Node, model: OnnxBuilder) -> None:
    x, weight, bias = node.inputs
    _emit(node, model, "Gemm", [x, model.weight(weight), model.bias(bias, x, weight)], transB=1)


@OPERATORS.implements(Add)
def _add(node: Node, model: OnnxBuilder) -> None:
    _emit(node, model, "Add", [model.operand(name) for name in node.inputs])


@OPERATORS.implements(Mul)
def _mul(node: Node, model: OnnxBuilder) -> None:
    _emit(node, model, "Mul", [model.operand(name) for name in node.inputs])


@OPERATORS.implements(Mean)
def _mean(node: Node, model: OnnxBuilder) -> None:
    assert isinstance(node.op, Mean)
    if node.op.keep_dims:
        _emit(node, model, "GlobalAveragePool", [node.inputs[0]])
        return
    # The pooled tensor is quantized before it is flattened, so that pooling is fused into one integer kernel.
    pooled = f"{node.output}.pooled"
    raw = model.node("GlobalAveragePool", [node.inputs[0]], pooled)
    if node.output in model.params:
        stored = model.quantize(node.output, raw)
        flat = model.node("Flatten", [stored], f"{node.output}.flat", axis=1)
        model.dequantize(node.output, flat)
    else:
        model.node("Flatten", [raw], node.output, axis=1)


@OPERATORS.implements(Pad)
def _pad(node: Node, model: OnnxBuilder) -> None:
    assert isinstance(node.op, Pad)
    p = node.op.padding
    widths = np.array([0, 0, p.top, p.left, 0, 0, p.bottom, p.right], np.int64)
    _emit(node, model, "Pad", [node.inputs[0], model.array(f"{node.output}.widths", widths)])


@OPERATORS.implements(Flatten)
def _flatten(node: Node, model: OnnxBuilder) -> None:
    _emit(node, model, "Flatten", [node.inputs[0]], axis=1)


@OPERATORS.implements(HardSwish)
def _hard_swish(node: Node, model: OnnxBuilder) -> None:
    _emit(node, model, "HardSwish", [node.inputs[0]])
