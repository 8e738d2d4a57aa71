"""Float networks whose weights are stored in int8: every integer and scale, decided once, without images.

A weight of a layer is an integer in [-127, 127] times a scale of its output channel. With these reals the layer
computes: in float32 (``Precision.WEIGHT_ONLY``), or on what the runtime makes of its input (``DYNAMIC``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.quantization import WEIGHT_LIMITS, QuantParams

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.float_model import FloatModel

_LIMIT: Final = WEIGHT_LIMITS[8]
# Products with smaller weights are lost in the sums of a network whose values are near 1; kernels refuse scales that
# are no normal numbers, and those of dead channels would be.
_LEAST_SCALE: Final = 2.0**-60


def with_int8_weights(model: FloatModel) -> FloatModel:
    """``model`` with every weight of its layers on a grid; biases and all else are as they were.

    The scale of a channel is its largest weight over 127, and each weight the nearest integer of it.
    """
    graph, grids, constants = model.graph, dict[str, QuantParams](), dict(model.graph.constants)
    for node in graph:
        if node.op.has_weights:
            weight = node.operand("weight")
            grids[weight] = grid(constants[weight])
            constants[weight] = grids[weight].dequantize(grids[weight].quantize(constants[weight]))
    return replace(model, graph=replace(graph, constants=constants), grids=grids)


def grid(weight: NDArray[np.floating]) -> QuantParams:
    """The scales of a weight [O, ...], one an output channel."""
    largest = np.abs(weight.reshape(len(weight), -1)).max(1).astype(np.float64)
    scale = np.maximum(largest / _LIMIT, _LEAST_SCALE).astype(np.float32)
    return QuantParams(scale)


def read_as_integers(model: FloatModel) -> frozenset[str]:
    """The weights of layers that quantize what they read, where a file says so: of all without groups.

    Depthwise layers compute in float, with their int8 weights: their sums are short, so that quantizing costs them more
    than it saves. ONNX Runtime takes twice as long for them in integers (0.83 ms against 0.39 for 96 channels of 56 x
    56, 3 x 3, AVX2), and torch has no kernel.
    """
    return frozenset(
        node.operand("weight") for node in model.graph if node.op.has_weights and node.op.groups_of_weights == 1
    )
