"""Feature maps of another size, and the largest channel of each place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from onnx import TensorProto

from edgekit.exporters.onnx.operators.table import OPERATORS
from edgekit.exporters.onnx.operators.writing import emit, move
from edgekit.ir import ArgMax, Resize
from edgekit.ir.operators.resize import ALIGNED, ASYMMETRIC, HALF_PIXEL, NEAREST

if TYPE_CHECKING:
    from typing import Any

    from edgekit.exporters.onnx.builder import OnnxBuilder
    from edgekit.ir import Node

_ATTRIBUTES: Final[dict[str, dict[str, Any]]] = {
    NEAREST: {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
    HALF_PIXEL: {"mode": "linear", "coordinate_transformation_mode": "half_pixel"},
    ALIGNED: {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
    ASYMMETRIC: {"mode": "linear", "coordinate_transformation_mode": "asymmetric"},
}


@OPERATORS.implements(Resize)
def _resize(op: Resize, node: Node, model: OnnxBuilder) -> None:
    x = node.operand("x")
    attributes, scales = _ATTRIBUTES[op.mode], _scales(op, node, model)
    if not model.moves_stored(node):
        emit(node, model, "Resize", [model.operand(x), "", scales], **attributes)
    elif not op.rounds_up:
        move(node, model, "Resize", [model.held(x), "", scales], **attributes)
    else:
        _interpolate(node, model, [model.held(x), scales], attributes)


def _interpolate(node: Node, model: OnnxBuilder, inputs: list[str], attributes: dict[str, Any]) -> None:
    """Of stored integers, in float32; half a step more, and the cast cuts off what is behind the point.

    ONNX Runtime's Resize of uint8 cuts off without that half step, and it takes whatever stands between
    DequantizeLinear and QuantizeLinear for one; casts it leaves alone.
    """
    stored, scales = inputs
    reals = model.node("Cast", [stored], f"{node.output}.stored", to=TensorProto.FLOAT)
    resized = model.node("Resize", [reals, "", scales], f"{node.output}.resized", **attributes)
    half = model.array(f"{node.output}.half", np.array(0.5, np.float32))
    more = model.node("Add", [resized, half], f"{node.output}.more")
    model.node("Cast", [more], model.held(node.output), to=TensorProto.UINT8)
    model.restore(node.output)


def _scales(op: Resize, node: Node, model: OnnxBuilder) -> str:
    """The factor of each axis, as the file's batch is free: the size is the product, rounded down.

    ONNX Runtime multiplies in float32, onnx in float64.
    """
    _, *old = model.graph.tensors[node.operand("x")].shape
    factors = [np.float32(new / size) for new, size in zip(op.size, old, strict=True)]
    for place, (new, size) in enumerate(zip(op.size, old, strict=True)):
        if int(float(factors[place]) * size) < new:
            factors[place] = np.nextafter(factors[place], np.float32(np.inf))
    return model.array(f"{node.output}.factors", np.array([1, 1, *factors], np.float32))


@OPERATORS.implements(ArgMax)
def _arg_max(op: ArgMax, node: Node, model: OnnxBuilder) -> None:
    """Of integers as they are stored: nothing is rounded where they are interpolated, in float32.

    Where activations have 16 bits or 16-bit floats, ONNX Runtime has no kernel.
    """
    x = node.operand("x")
    value, is_bytes = model.held(x), x in model.params and model.params[x].bits == 8
    if op.resize is not None or not (is_bytes or model.dtype is np.float32):
        value = model.node("Cast", [value], f"{node.output}.stored", to=TensorProto.FLOAT)
    if op.resize is not None:
        inputs = [value, "", _scales(op.resize, node, model)]
        value = model.node("Resize", inputs, f"{node.output}.enlarged", **_ATTRIBUTES[op.resize.mode])
    index = model.node("ArgMax", [value], f"{node.output}.index", axis=1, keepdims=0)
    model.node("Cast", [index], model.values[node.output], to=TensorProto.INT32)
