"""Scales and integers of layers with 16-bit activations.

Activations are int16 in [-32767, 32767] with zero point 0, weights int8 with one scale an output channel, biases int32
here and int64 in TFLite files: its 16x8 scheme (tensorflow/lite/kernels/conv.cc). Scales follow from ranges and weights
alone. There is nothing to solve: kernels round 16 bits in ways of their own, and half a step of 16 bits is little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.calibration.mixed_precision import Kind
from edgekit.calibration.ranges import MIN_RANGE
from edgekit.calibration.scale_groups import sharing
from edgekit.ir.operators.operator import Border
from edgekit.quantization import BIAS_LIMIT, INT16_MAX, WEIGHT_MAX, WEIGHT_MIN, QuantParams

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgekit.calibration.options import Options
    from edgekit.calibration.ranges import Range
    from edgekit.ir import Graph, Node


def assign_int16(
    graph: Graph,
    kinds: Mapping[str, Kind],
    ranges: Mapping[str, Range],
    int8: Mapping[str, QuantParams],
    options: Options,
) -> tuple[dict[str, QuantParams], dict[str, NDArray[Any]]]:
    """Parameters and constants of everything that has 16-bit activations, by name.

    Args:
        graph: with borders.
        kinds: of every tensor.
        ranges: of the tensors that layers with 16-bit activations make, and of those that are quantized to 16 bits.
        int8: parameters of the tensors of 8 bits.
        options: how many scales weights have.
    """
    wide = [node for node in graph if kinds[node.output] is Kind.INT16]
    params = _activations(graph, wide, ranges, int8)
    constants: dict[str, NDArray[Any]] = {}
    for node in wide:
        if node.op.has_weights:
            x, weight, bias = node.read("x", "weight", "bias")
            params[weight], constants[weight], constants[bias] = _weights(
                graph, node, params[x], per_tensor=options.per_tensor_weights
            )
            continue
        for constant in (name for name in node.inputs if name in graph.constants):  # operands
            values = graph.constants[constant]
            params[constant] = _full_scale(max(float(np.abs(values).max()), MIN_RANGE))
            constants[constant] = params[constant].quantize(values)
    return params, constants


def _activations(
    graph: Graph, wide: Sequence[Node], ranges: Mapping[str, Range], int8: Mapping[str, QuantParams]
) -> dict[str, QuantParams]:
    """The parameters of tensors of 16 bits. Those whose integers are only moved share the largest of their scales."""
    params: dict[str, QuantParams] = {}
    for node in wide:
        if node.op.border is Border.TO_ANOTHER_WIDTH:  # what int8 holds is held exactly
            params[node.output] = QuantParams(int8[node.operand("x")].scale, bits=16)
        elif node.op.tabulated:  # TFLite's 16-bit LOGISTIC insists on it (kernels/activations.cc: SigmoidPrepare)
            params[node.output] = QuantParams(np.array([2.0**-15], np.float32), bits=16)
        elif not node.op.moves_values:
            found = ranges[node.output]
            params[node.output] = _full_scale(max(-found.low, found.high, MIN_RANGE))
    for members, sources in sharing(graph, {node.output for node in wide}):
        coarsest = max((params[name] for name in sources), key=lambda found: float(found.scale[0]))
        params |= dict.fromkeys(members, coarsest)
    return params


def _full_scale(largest: float) -> QuantParams:
    return QuantParams(np.array([largest / INT16_MAX], np.float32), bits=16)


def _weights(
    graph: Graph, node: Node, source: QuantParams, *, per_tensor: bool
) -> tuple[QuantParams, NDArray[np.int8], NDArray[np.int32]]:
    """The parameters of the weight, the weight and the bias of a convolution or linear layer."""
    real, real_bias = (graph.constants[name].astype(np.float64) for name in node.read("weight", "bias"))
    step = float(source.scale[0])
    largest = np.abs(real).reshape(len(real), -1).max(1) / WEIGHT_MAX  # [O]
    scale = np.maximum(largest, np.abs(real_bias) / (step * BIAS_LIMIT))  # a dead channel still has its bias
    scale = np.maximum(np.full_like(scale, scale.max()) if per_tensor else scale, MIN_RANGE / BIAS_LIMIT)
    params = QuantParams((scale[:1] if per_tensor else scale).astype(np.float32))
    stored = np.clip(np.rint(real / scale.reshape(-1, *[1] * (real.ndim - 1))), WEIGHT_MIN, WEIGHT_MAX)
    stored_bias = np.clip(np.rint(real_bias / (step * scale)), -BIAS_LIMIT, BIAS_LIMIT)
    return params, stored.astype(np.int8), stored_bias.astype(np.int32)
