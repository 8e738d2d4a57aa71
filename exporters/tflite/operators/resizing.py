"""Feature maps of another size, and the largest channel of each place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.exporters.tflite.operators.movement import reshape
from edgekit.exporters.tflite.operators.table import OPERATORS
from edgekit.exporters.tflite.operators.writing import code_of
from edgekit.ir import ArgMax, Resize
from edgekit.ir.operators.resize import ALIGNED, HALF_PIXEL

if TYPE_CHECKING:
    from edgekit.exporters.tflite.builder import TfliteBuilder
    from edgekit.ir import Node

_MOST_JOINED = 5  # XNNPACK's delegate leaves a CONCATENATION of more to TFLite (VisitConcatenationNode)


@OPERATORS.implements(Resize)
def _resize(op: Resize, node: Node, model: TfliteBuilder) -> None:
    if op.rounds_up:
        _bilinear(op, node, model)
    else:
        _nearest(op, node, model)


def _bilinear(op: Resize, node: Node, model: TfliteBuilder) -> None:
    code = code_of("RESIZE_BILINEAR", node.output, model, 1, 2, 4)
    if op.mode == HALF_PIXEL:
        code = code_of("RESIZE_BILINEAR", node.output, model, 3, 3, 4)
    _interpolate(op, node, code, (model.activation(node.operand("x")), model.activation(node.output)), model)


def _interpolate(op: Resize, node: Node, code: tuple[str, int], ends: tuple[int, int], model: TfliteBuilder) -> None:
    source, target = ends
    options = {"alignCorners": op.mode == ALIGNED, "halfPixelCenters": op.mode == HALF_PIXEL}
    inputs = [source, model.integers(f"{node.name}.size", list(op.size))]
    model.operator(*code, inputs, target, ("ResizeBilinearOptions", options))


@OPERATORS.implements(ArgMax)
def _arg_max(op: ArgMax, node: Node, model: TfliteBuilder) -> None:
    x, dtype = model.activation(node.operand("x")), model.dtype(node.operand("x"))
    if op.resize is not None:
        x, dtype = _enlarged(op.resize, node, model), "float32"
    code = ("ARG_MAX", 1 if dtype == "float32" else 2)
    axis, kind = model.constant(f"{node.name}.axis", np.array(3, np.int32)), model.schema.TensorType.INT32
    model.operator(*code, [x, axis], model.activation(node.output), ("ArgMaxOptions", {"outputType": kind}))


def _enlarged(op: Resize, node: Node, model: TfliteBuilder) -> int:
    """The map interpolated in float32; of integers, as they are stored, so that nothing is rounded."""
    name = node.operand("x")
    x, (batch, *size, channels), types = model.activation(name), model.shape(name), model.schema.TensorType
    if (dtype := model.dtype(name)) != "float32":
        stored, x = x, model.tensor(f"{node.output}.stored", (batch, *size, channels), "float32")
        options = {"inDataType": getattr(types, dtype.upper()), "outDataType": types.FLOAT32}
        model.operator("CAST", 3, [stored], x, ("CastOptions", options))
    target = model.tensor(f"{node.output}.enlarged", (batch, *op.size, channels), "float32")
    _interpolate(op, node, ("RESIZE_BILINEAR", 3), (x, target), model)
    return target


def _nearest(op: Resize, node: Node, model: TfliteBuilder) -> None:
    """Columns, then rows behind themselves: XNNPACK has no RESIZE_NEAREST_NEIGHBOR, and so the file stays in one piece.

    [H, W, C] joined with itself along its last axis is [H, W, 2 C], which is [H, 2 W, C]; and rows likewise.
    """
    channels, height, width = model.graph.tensors[x := node.operand("x")].shape
    by_rows, by_columns = op.factors_of((channels, height, width))
    wide = _joined(node, "columns", model.activation(x), ((height, width, channels), by_columns), model)
    tall = _joined(node, "rows", wide, ((height, 1, width * by_columns * channels), by_rows), model)
    reshape(f"{node.name}.shape", tall, model.activation(node.output), (*op.size, channels), model)


def _joined(node: Node, axis: str, source: int, wanted: tuple[tuple[int, int, int], int], model: TfliteBuilder) -> int:
    """``source`` in a shape, joined with itself along the last axis so many times; itself for once."""
    (rows, columns, last), factor = wanted
    if factor == 1:
        return source
    name, dtype, params = f"{node.name}.{axis}", model.dtype(node.output), model.params.get(node.output)

    def tensor(kind: str, times: int) -> int:
        return model.tensor(f"{name}.{kind}", (model.batch, rows, columns, last * times), dtype, params)

    reshape(f"{name}.shape", source, part := tensor("parts", 1), (rows, columns, last), model)
    code = code_of("CONCATENATION", node.output, model, 1, 2, 3)
    pieces = [(part, 1)] * factor  # with how many copies each holds
    while len(pieces) > 1:
        made: dict[tuple[tuple[int, int], ...], tuple[int, int]] = {}
        groups = [tuple(pieces[i : i + _MOST_JOINED]) for i in range(0, len(pieces), _MOST_JOINED)]
        for group in dict.fromkeys(groups):
            if len(group) == 1:
                made[group] = group[0]
                continue
            times = sum(copies for _, copies in group)
            joined = tensor(f"times_{times}", times)
            options = {"axis": 3, "fusedActivationFunction": 0}
            model.operator(*code, [index for index, _ in group], joined, ("ConcatenationOptions", options))
            made[group] = joined, times
        pieces = [made[group] for group in groups]
    ((whole, _),) = pieces
    return whole
