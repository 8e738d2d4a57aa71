"""Where reals become integers and integers reals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.exporters.tflite.operators.table import OPERATORS
from edgekit.exporters.tflite.operators.writing import code_of
from edgekit.ir import (
    Dequantize,
    Op,
    Quantize,
    Requantize,
)

if TYPE_CHECKING:
    from edgekit.exporters.tflite.builder import TfliteBuilder
    from edgekit.ir import Node


@OPERATORS.implements(Quantize, Requantize)
def _quantize(_: Op, node: Node, model: TfliteBuilder) -> None:
    source, target = model.activation(node.operand("x")), model.activation(node.output)
    model.operator(*code_of("QUANTIZE", node.output, model, 1, 1, 2), [source], target, ("QuantizeOptions", {}))


@OPERATORS.implements(Dequantize)
def _dequantize(_: Dequantize, node: Node, model: TfliteBuilder) -> None:
    source, target = model.activation(node.operand("x")), model.activation(node.output)
    model.operator(
        *code_of("DEQUANTIZE", node.operand("x"), model, 2, 2, 3), [source], target, ("DequantizeOptions", {})
    )
