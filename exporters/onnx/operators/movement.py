"""What moves values and computes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.exporters.onnx.operators.table import OPERATORS
from edgekit.exporters.onnx.operators.writing import emit, move
from edgekit.ir import (
    Concat,
    Flatten,
    Pad,
)

if TYPE_CHECKING:
    from edgekit.exporters.onnx.builder import OnnxBuilder
    from edgekit.ir import Node


@OPERATORS.implements(Pad)
def _pad(op: Pad, node: Node, model: OnnxBuilder) -> None:
    x, p = node.operand("x"), op.padding
    widths = model.array(f"{node.output}.widths", np.array([0, 0, p.top, p.left, 0, 0, p.bottom, p.right], np.int64))
    if model.moves_stored(node):
        move(node, model, "Pad", [model.held(x), widths, model.zero_point(x)])
    else:
        emit(node, model, "Pad", [model.operand(x), widths])


@OPERATORS.implements(Flatten)
def _flatten(_: Flatten, node: Node, model: OnnxBuilder) -> None:
    if model.moves_stored(node):
        move(node, model, "Flatten", [model.held(node.operand("x"))], axis=1)
    else:
        emit(node, model, "Flatten", [model.operand(node.operand("x"))], axis=1)


@OPERATORS.implements(Concat)
def _concat(_: Concat, node: Node, model: OnnxBuilder) -> None:
    if model.moves_stored(node):
        move(node, model, "Concat", [model.held(x) for x in node.operands("xs")], axis=1)
    else:
        emit(node, model, "Concat", [model.operand(x) for x in node.operands("xs")], axis=1)
