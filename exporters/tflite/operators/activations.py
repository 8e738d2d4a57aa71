"""Activations that stand by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.errors import UnsupportedOperator
from edgekit.exporters.tflite.operators.table import OPERATORS
from edgekit.exporters.tflite.operators.writing import code_of
from edgekit.ir import HardSwish, LeakyReLU, PReLU, Sigmoid, Softmax

if TYPE_CHECKING:
    from edgekit.exporters.tflite.builder import TfliteBuilder
    from edgekit.ir import Node


@OPERATORS.implements(HardSwish)
def _hard_swish(_: HardSwish, node: Node, model: TfliteBuilder) -> None:
    model.operator("HARD_SWISH", 1, [model.activation(node.operand("x"))], model.activation(node.output))


@OPERATORS.implements(Sigmoid)
def _sigmoid(_: Sigmoid, node: Node, model: TfliteBuilder) -> None:
    code = code_of("LOGISTIC", node.output, model, 1, 2, 3)
    model.operator(*code, [model.activation(node.operand("x"))], model.activation(node.output))


@OPERATORS.implements(Softmax)
def _softmax(op: Softmax, node: Node, model: TfliteBuilder) -> None:
    tensor = model.graph.tensors[node.operand("x")]
    last = 1 if tensor.is_image else len(tensor.shape)  # channels are the last axis of images there
    if op.axis != last:
        raise UnsupportedOperator(
            f"TFLite has a soft-max along the last axis only, and layer {node.name!r} takes one along axis {op.axis} "
            f"of {(1, *tensor.shape)}: let the network transpose before, or export to another format"
        )
    inputs = [model.activation(node.operand("x"))]
    model.operator("SOFTMAX", 1, inputs, model.activation(node.output), ("SoftmaxOptions", {"beta": 1.0}))


@OPERATORS.implements(LeakyReLU)
def _leaky_relu(op: LeakyReLU, node: Node, model: TfliteBuilder) -> None:
    inputs = [model.activation(node.operand("x"))]
    model.operator("LEAKY_RELU", 1, inputs, model.activation(node.output), ("LeakyReluOptions", {"alpha": op.slope}))


@OPERATORS.implements(PReLU)
def _prelu(_: PReLU, node: Node, model: TfliteBuilder) -> None:
    inputs = [model.operand(name) for name in node.read("x", "slope")]
    model.operator("PRELU", 1, inputs, model.activation(node.output))
