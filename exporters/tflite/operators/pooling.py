"""Means and other pooling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.exporters.tflite.operators.table import OPERATORS
from edgekit.exporters.tflite.operators.writing import code_of
from edgekit.ir import (
    Mean,
)

if TYPE_CHECKING:
    from edgekit.exporters.tflite.builder import TfliteBuilder
    from edgekit.ir import Node


@OPERATORS.implements(Mean)
def _mean(op: Mean, node: Node, model: TfliteBuilder) -> None:
    inputs = [model.activation(node.operand("x")), model.integers(f"{node.name}.axes", [1, 2])]
    options = {"keepDims": op.keep_dims}
    code = code_of("MEAN", node.output, model, 1, 2, 3)
    model.operator(*code, inputs, model.activation(node.output), ("ReducerOptions", options))
