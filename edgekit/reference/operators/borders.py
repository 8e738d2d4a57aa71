"""Where reals become integers and integers reals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.ir import (
    Dequantize,
    Op,
    Quantize,
    Requantize,
)
from edgekit.reference.operators.table import FLOAT, INTEGER, Arithmetic, Float, Stored

if TYPE_CHECKING:
    from edgekit.ir import Node

for _border in (Quantize, Requantize, Dequantize):
    FLOAT.refuses(_border, "float graphs hold no integers")


@INTEGER.implements(Quantize)
def _quantize(_: Op, model: Arithmetic, node: Node, x: Float) -> Stored:
    return model.model.params[node.output].quantize(x)


@INTEGER.implements(Dequantize)
def _dequantize(_: Op, model: Arithmetic, node: Node, x: Stored) -> Float:
    return model.model.params[node.operand("x")].dequantize(x).astype(np.float64)


@INTEGER.implements(Requantize)
def _requantize(_: Op, model: Arithmetic, node: Node, x: Stored) -> Stored:
    source, target = (model.model.params[name] for name in (node.operand("x"), node.output))
    return target.quantize((x.astype(np.float64) - source.zero_point) * source.scale.astype(np.float64))
