"""Feature maps of another size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.exporters.tflite.operators.movement import reshape
from edgekit.exporters.tflite.operators.table import OPERATORS
from edgekit.exporters.tflite.operators.writing import code_of
from edgekit.ir import Resize
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
    options = {"alignCorners": op.mode == ALIGNED, "halfPixelCenters": op.mode == HALF_PIXEL}
    code = code_of("RESIZE_BILINEAR", node.output, model, 1, 2, 4)
    if op.mode == HALF_PIXEL:
        code = code_of("RESIZE_BILINEAR", node.output, model, 3, 3, 4)
    inputs = [model.activation(node.operand("x")), model.integers(f"{node.name}.size", list(op.size))]
    model.operator(*code, inputs, model.activation(node.output), ("ResizeBilinearOptions", options))


def _nearest(op: Resize, node: Node, model: TfliteBuilder) -> None:
    """Columns, then rows behind themselves: XNNPACK has no RESIZE_NEAREST_NEIGHBOR, and so the file stays in one piece.

    [H, W, C] joined with itself along its last axis is [H, W, 2 C], which is [H, 2 W, C]; and rows likewise.
    """
    channels, height, width = model.graph.tensors[x := node.operand("x")].shape
    by_rows, by_columns = op.factors_of((channels, height, width))
    source, steps = model.activation(x), 0
    shape = (height, width, channels)
    for factor in _few_at_a_time(by_columns):
        source = _joined(node, steps, source, (shape, factor), model)
        shape, steps = (height, shape[1] * factor, channels), steps + 1
    row = shape[1] * channels
    shape = (height, 1, row)
    for factor in _few_at_a_time(by_rows):
        source = _joined(node, steps, source, (shape, factor), model)
        shape, steps = (shape[0] * factor, 1, row), steps + 1
    reshape(f"{node.name}.shape", source, model.activation(node.output), (*op.size, channels), model)


def _joined(node: Node, step: int, source: int, wanted: tuple[tuple[int, int, int], int], model: TfliteBuilder) -> int:
    """``source`` in a shape, joined with itself along the last axis so many times."""
    (rows, columns, last), factor = wanted
    name, dtype, params = f"{node.name}.{step}", model.dtype(node.output), model.params.get(node.output)
    parts = model.tensor(f"{name}.parts", (model.batch, rows, columns, last), dtype, params)
    reshape(f"{name}.shape", source, parts, (rows, columns, last), model)
    joined = model.tensor(f"{name}.joined", (model.batch, rows, columns, last * factor), dtype, params)
    options = {"axis": 3, "fusedActivationFunction": 0}
    code = code_of("CONCATENATION", node.output, model, 1, 2, 3)
    model.operator(*code, [parts] * factor, joined, ("ConcatenationOptions", options))
    return joined


def _few_at_a_time(factor: int) -> list[int]:
    """Factors of ``factor`` that are as large as may be, but for primes beyond; none of 1."""
    factors = []
    while factor > 1:
        fits = [part for part in range(2, _MOST_JOINED + 1) if factor % part == 0]
        factors.append(max(fits, default=factor))
        factor //= factors[-1]
    return factors
