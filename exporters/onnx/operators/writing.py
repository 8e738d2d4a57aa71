"""What functions of several kinds need to write a node."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from edgekit.exporters.onnx.builder import OnnxBuilder
    from edgekit.ir import Node


def emit(node: Node, model: OnnxBuilder, op_type: str, inputs: list[str], **attributes: object) -> None:
    """Write the node that computes ``node``, its fused clamp, and the quantization of its result."""
    raw = model.raw(node.output)
    if node.activation is None:
        model.node(op_type, inputs, raw, **attributes)
    else:
        inner = model.node(op_type, inputs, f"{node.output}.unclamped", **attributes)
        _clamp(node, model, inner, raw)
    model.finish_activation(node.output)


def _clamp(node: Node, model: OnnxBuilder, source: str, target: str) -> None:
    """The fused clamp of ``node``."""
    assert node.activation is not None
    low, high = node.activation.low, node.activation.high
    if (low, high) == (0.0, math.inf):
        model.node("Relu", [source], target)
        return
    bounds = {"low": low} if high == math.inf else {"low": low, "high": high}
    arrays = [model.array(f"{node.output}.{end}", np.array(bound, model.dtype)) for end, bound in bounds.items()]
    model.node("Clip", [source, *arrays], target)


def move(node: Node, model: OnnxBuilder, op_type: str, inputs: list[str], **attributes: object) -> None:
    """Write a node that moves values as the file holds them."""
    model.node(op_type, inputs, model.held(node.output), **attributes)
    model.restore(node.output)
