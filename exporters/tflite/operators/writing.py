"""What functions of several kinds need to write an operator."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.exporters.tflite.builder import TfliteBuilder
    from edgekit.ir import Node


def code_of(  # noqa: PLR0913, PLR0917 - a version for each type
    builtin: str, tensor: str, model: TfliteBuilder, real: int, int8: int, int16: int
) -> tuple[str, int]:
    """An operator in the version that takes the type of ``tensor``."""
    return builtin, {"float32": real, "int8": int8, "int16": int16}[model.dtype(tensor)]


def emit(  # noqa: PLR0913, PLR0917 - an operator has this many parts
    node: Node,
    model: TfliteBuilder,
    code: tuple[str, int],
    inputs: list[int],
    target: int,
    options: tuple[str, Mapping[str, int]],
) -> None:
    """Write the operator that computes ``node``, with its clamp: fused as far as TFLite can, else behind it."""
    low, high = (-math.inf, math.inf) if node.activation is None else (node.activation.low, node.activation.high)
    functions = model.schema.ActivationFunctionType
    fused, bounds = int(functions.NONE), {"MAXIMUM": low, "MINIMUM": high}
    if (low, high) == (0.0, 6.0):
        fused, bounds = int(functions.RELU6), {}
    elif low == 0.0:
        fused, bounds = int(functions.RELU), {"MINIMUM": high}
    bounds = {kind: bound for kind, bound in bounds.items() if math.isfinite(bound)}
    shape, dtype, params = (
        model.shape(node.output),
        model.dtype(node.output),
        model.params.get(node.output),
    )
    results = [model.tensor(f"{node.output}.unclamped.{kind.lower()}", shape, dtype, params) for kind in bounds]
    results.append(target)
    table, fields = options
    model.operator(*code, inputs, results[0], (table, {**fields, "fusedActivationFunction": fused}))
    for (kind, bound), (source, result) in zip(bounds.items(), pairwise(results), strict=True):
        value = np.array([bound], np.float32)
        stored = value if params is None else params.quantize(value)
        limit = model.constant(f"{node.output}.{kind.lower()}", stored, params)
        model.operator(
            *code_of(kind, node.output, model, 1, 2, 4), [source, limit], result, ("MaximumMinimumOptions", {})
        )
