"""Means and other pooling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.exporters.tflite.operators.movement import padded
from edgekit.exporters.tflite.operators.table import OPERATORS
from edgekit.exporters.tflite.operators.writing import code_of, emit
from edgekit.ir import AveragePool2d, Mean

if TYPE_CHECKING:
    from edgekit.exporters.tflite.builder import TfliteBuilder
    from edgekit.ir import Node


@OPERATORS.implements(Mean)
def _mean(op: Mean, node: Node, model: TfliteBuilder) -> None:
    inputs = [model.activation(node.operand("x")), model.integers(f"{node.name}.axes", [1, 2])]
    options = {"keepDims": op.keep_dims}
    code = code_of("MEAN", node.output, model, 1, 2, 3)
    model.operator(*code, inputs, model.activation(node.output), ("ReducerOptions", options))


@OPERATORS.implements(AveragePool2d)
def _average_pool2d(op: AveragePool2d, node: Node, model: TfliteBuilder) -> None:
    """Zeros that count stand around it already: TFLite's own padding does not."""
    source = model.activation(node.operand("x"))
    if op.padding:
        source = padded(node, source, op.padding, model)
    options = {"padding": model.schema.Padding.VALID, "strideH": op.stride[0], "strideW": op.stride[1]}
    options |= {"filterHeight": op.kernel[0], "filterWidth": op.kernel[1]}
    code = code_of("AVERAGE_POOL_2D", node.output, model, 1, 2, 3)
    emit(node, model, code, [source], model.activation(node.output), ("Pool2DOptions", options))
