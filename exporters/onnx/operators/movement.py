"""What moves values and computes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.exporters.onnx.operators.table import OPERATORS
from edgekit.exporters.onnx.operators.writing import emit, move
from edgekit.ir import (
    Concat,
    Pad,
    Part,
    Rearrange,
    Slice,
)

if TYPE_CHECKING:
    from edgekit.exporters.onnx.builder import OnnxBuilder
    from edgekit.ir import Node
    from edgekit.ir.operators.rearrange import Step


@OPERATORS.implements(Pad)
def _pad(op: Pad, node: Node, model: OnnxBuilder) -> None:
    (x, p), (first, last) = (node.operand("x"), op.padding), op.channels_around
    around = [0, first, p.top, p.left, 0, last, p.bottom, p.right]
    widths = model.array(f"{node.output}.widths", np.array(around, np.int64))
    if model.moves_stored(node):
        move(node, model, "Pad", [model.held(x), widths, model.zero_point(x)])
    else:
        emit(node, model, "Pad", [model.operand(x), widths])


@OPERATORS.implements(Rearrange)
def _rearrange(op: Rearrange, node: Node, model: OnnxBuilder) -> None:
    x = node.operand("x")
    write, value = (move, model.held(x)) if model.moves_stored(node) else (emit, model.operand(x))
    *before, last = op.steps(model.graph.tensors[x].shape)
    for place, step in enumerate(before):
        op_type, inputs, attributes = _step(step, value, f"{node.output}.shape_{place}", model)
        value = model.node(op_type, inputs, f"{node.output}.moved_{place}", **attributes)
    op_type, inputs, attributes = _step(last, value, f"{node.output}.shape", model)
    write(node, model, op_type, inputs, **attributes)


def _step(step: Step, value: str, name: str, model: OnnxBuilder) -> tuple[str, list[str], dict[str, Any]]:
    """Operator, inputs and attributes; ``name`` is for the constant that holds a shape, with -1 for any batch."""
    if step.order:
        return "Transpose", [value], {"perm": step.permutation}
    if len(step.shape) == 1:
        return "Flatten", [value], {"axis": 1}
    return "Reshape", [value, model.array(name, np.array(step.of(-1), np.int64))], {}


@OPERATORS.implements(Concat)
def _concat(op: Concat, node: Node, model: OnnxBuilder) -> None:
    if model.moves_stored(node):
        move(node, model, "Concat", [model.held(x) for x in node.operands("xs")], axis=1 + op.axis)
    else:
        emit(node, model, "Concat", [model.operand(x) for x in node.operands("xs")], axis=1 + op.axis)


@OPERATORS.implements(Slice)
def _slice(op: Slice, node: Node, model: OnnxBuilder) -> None:
    x = node.operand("x")
    write, value = (move, model.held(x)) if model.moves_stored(node) else (emit, model.operand(x))
    parts = enumerate(zip(op.parts, model.graph.tensors[x].shape, strict=True), start=1)
    taken = [(part.start, part.stop, axis, part.step) for axis, (part, size) in parts if part != Part(0, size)]
    names = ("starts", "ends", "axes", "steps")
    arrays = zip(names, np.array(taken, np.int64).T, strict=True)
    write(node, model, "Slice", [value, *(model.array(f"{node.output}.{name}", array) for name, array in arrays)])
