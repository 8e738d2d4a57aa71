"""Sums and products."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.exporters.tflite.operators.table import OPERATORS
from edgekit.exporters.tflite.operators.writing import code_of, emit
from edgekit.ir import (
    Add,
    Mul,
)

if TYPE_CHECKING:
    from edgekit.exporters.tflite.builder import TfliteBuilder
    from edgekit.ir import Node


@OPERATORS.implements(Add)
def _add(_: Add, node: Node, model: TfliteBuilder) -> None:
    inputs = [model.operand(name) for name in node.inputs]
    code = code_of("ADD", node.output, model, 1, 2, 3)
    options = {"potScaleInt16": False} if model.dtype(node.output) == "int16" else {}
    emit(node, model, code, inputs, model.activation(node.output), ("AddOptions", options))


@OPERATORS.implements(Mul)
def _mul(_: Mul, node: Node, model: TfliteBuilder) -> None:
    inputs = [model.operand(name) for name in node.inputs]
    code = code_of("MUL", node.output, model, 1, 2, 4)
    if model.dtype(node.output) == "int8":
        a, b, out = (model.params[name].scale[0] for name in (*node.inputs, node.output))
        code = ("MUL", 3) if a * b / out >= 1 else code
    emit(node, model, code, inputs, model.activation(node.output), ("MulOptions", {}))
