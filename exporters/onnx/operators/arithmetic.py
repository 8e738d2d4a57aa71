"""Sums and products."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.exporters.onnx.operators.table import OPERATORS
from edgekit.exporters.onnx.operators.writing import emit
from edgekit.ir import (
    Add,
    Mul,
)

if TYPE_CHECKING:
    from edgekit.exporters.onnx.builder import OnnxBuilder
    from edgekit.ir import Node


@OPERATORS.implements(Add)
def _add(_: Add, node: Node, model: OnnxBuilder) -> None:
    emit(node, model, "Add", [model.operand(name) for name in node.inputs])


@OPERATORS.implements(Mul)
def _mul(_: Mul, node: Node, model: OnnxBuilder) -> None:
    emit(node, model, "Mul", [model.operand(name) for name in node.inputs])
