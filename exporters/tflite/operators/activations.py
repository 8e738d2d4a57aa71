"""Activations that stand by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.exporters.tflite.operators.table import OPERATORS
from edgekit.exporters.tflite.operators.writing import code_of
from edgekit.ir import HardSwish, Sigmoid

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
