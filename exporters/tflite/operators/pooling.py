"""Means and other pooling."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.errors import UnsupportedOperator
from edgekit.exporters.tflite.operators.movement import padded
from edgekit.exporters.tflite.operators.parts import Parts
from edgekit.exporters.tflite.operators.table import OPERATORS
from edgekit.exporters.tflite.operators.writing import code_of, emit
from edgekit.ir import AveragePool2d, MaxPool2d, Mean, Padding
from edgekit.quantization import INT8_MIN

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


@OPERATORS.implements(MaxPool2d)
def _max_pool2d(op: MaxPool2d, node: Node, model: TfliteBuilder) -> None:
    if op.dilation != (1, 1):
        raise UnsupportedOperator(
            f"TFLite has no max pooling of windows with gaps (layer {node.name!r}): pool without dilation, or export "
            f"to another format"
        )
    x = node.operand("x")
    _, *size = model.graph.tensors[x].shape
    source, padding = model.activation(x), model.schema.Padding.VALID
    if op.padding == Padding.same((size[0], size[1]), op.kernel, op.stride):
        padding = model.schema.Padding.SAME
    elif op.padding:
        source = _padded(op, node, source, model)
    (height, width), (stride_h, stride_w) = op.kernel, op.stride
    options = {"padding": padding, "strideH": stride_h, "strideW": stride_w, "fusedActivationFunction": 0}
    options |= {"filterHeight": height, "filterWidth": width}
    code = code_of("MAX_POOL_2D", node.output, model, 1, 2, 3)
    model.operator(*code, [source], model.activation(node.output), ("Pool2DOptions", options))


def _padded(op: MaxPool2d, node: Node, source: int, model: TfliteBuilder) -> int:
    """What is to be pooled, padded so that no window finds the padding the largest.

    With zeros, where nothing is below them; else with the rows and columns at the edges once more, which every window
    that reaches beyond them holds anyway, as long as half of it lies within. XNNPACK takes neither PADV2, which has any
    number, nor MIRROR_PAD.
    """
    x, p, (height, width) = node.operand("x"), op.padding, op.kernel
    if _is_positive(x, model):
        return padded(node, source, p, model)
    if 2 * max(p.top, p.bottom) > height or 2 * max(p.left, p.right) > width:
        dtype = np.dtype(model.dtype(x))
        lowest = np.iinfo(dtype).min if x in model.params else np.finfo(np.float32).min
        return padded(node, source, p, model, np.array(lowest, dtype))
    made, taken = Parts(node, model), (source, model.shape(x))
    for axis, edges in ((1, (p.top, p.bottom)), (2, (p.left, p.right))):
        taken = made.with_edges(*taken, axis, edges)
    source, _ = taken
    return source


def _is_positive(x: str, model: TfliteBuilder) -> bool:
    """Whether no number of a tensor is below zero, as behind a ReLU."""
    if x in model.params and model.params[x].zero_point == INT8_MIN:
        return True
    producer = model.graph.producer(x)
    if producer is None:
        return False
    if producer.op.border or producer.op.moves_values:
        return all(_is_positive(name, model) for name in producer.inputs)
    return producer.activation is not None and producer.activation.low >= 0
