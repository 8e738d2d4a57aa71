"""Activations that stand by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.exporters.onnx.operators.table import OPERATORS
from edgekit.exporters.onnx.operators.writing import emit
from edgekit.ir import HardSwish, LeakyReLU, PReLU, Sigmoid, Softmax

if TYPE_CHECKING:
    from edgekit.exporters.onnx.builder import OnnxBuilder
    from edgekit.ir import Node

_HARD_SWISH_SINCE = 14  # https://onnx.ai/onnx/operators/onnx__HardSwish.html


@OPERATORS.implements(HardSwish)
def _hard_swish(_: HardSwish, node: Node, model: OnnxBuilder) -> None:
    x = model.operand(node.operand("x"))
    if model.version.opset >= _HARD_SWISH_SINCE:
        emit(node, model, "HardSwish", [x])
        return
    gate = model.node("HardSigmoid", [x], f"{node.output}.gate", alpha=1 / 6, beta=0.5)
    emit(node, model, "Mul", [x, gate])


@OPERATORS.implements(Sigmoid)
def _sigmoid(_: Sigmoid, node: Node, model: OnnxBuilder) -> None:
    emit(node, model, "Sigmoid", [model.operand(node.operand("x"))])


@OPERATORS.implements(Softmax)
def _softmax(op: Softmax, node: Node, model: OnnxBuilder) -> None:
    emit(node, model, "Softmax", [model.operand(node.operand("x"))], axis=op.axis)


@OPERATORS.implements(LeakyReLU)
def _leaky_relu(op: LeakyReLU, node: Node, model: OnnxBuilder) -> None:
    emit(node, model, "LeakyRelu", [model.operand(node.operand("x"))], alpha=op.slope)


@OPERATORS.implements(PReLU)
def _prelu(_: PReLU, node: Node, model: OnnxBuilder) -> None:
    x, slope = node.read("x", "slope")
    spatial = [1] * (len(model.graph.tensors[x].shape) - 1)
    values = model.graph.constants[slope].reshape(-1, *spatial).astype(model.dtype)
    emit(node, model, "PRelu", [model.operand(x), model.array(slope, values)])
