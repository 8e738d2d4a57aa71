"""The walk that fixes scales, so that every requantization ratio is tie-free (``edgekit.quantization``).

1. Wanted scales come from the ranges of groups (``scale_groups``).
2. Some are raised, so that no kernel refuses a ratio of them.
3. In topological order they are fixed one after the other. What each operator asks for is a row in ``scale_rules``.
   Layers with weights set no conditions: an ADD moves the scale of an operand that is still free and that of the sum, a
   MUL or MEAN that of its result.
4. Where a scale is asked for that is fixed already, its tensor is rescaled (``scale_groups.rescaled``), and the walk
   starts again. That is the last resort, and takes an operator that moves several tensors, or a sum of two whose scales
   are both fixed.
5. Weight scales take up what is left: S_w = r S_out / S_in with r the tie-free fraction nearest to what max|w| / 127
   asks for (/ 64 with weights of seven bits). Then weights and biases are rounded.

Scales are exact fractions until the very end, where files store them as float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.calibration.scale_groups import rescaled, scale_groups
from edgekit.calibration.scale_rules import CONSTANT_TOLERANCE, LEAST_OPERAND, LEAST_RESULT, SOLVES
from edgekit.calibration.scale_state import NoCommonScaleError, ScaleState
from edgekit.errors import UnsupportedOperator
from edgekit.float_sums import LikeTerms, is_uniform
from edgekit.ir.operators.operator import Scales
from edgekit.quantization import (
    BIAS_LIMIT,
    MAX_DENOMINATOR,
    SCALE_TOLERANCE,
    WEIGHT_MAX,
    WEIGHT_MIN,
    NoTieFreeScaleError,
    QuantParams,
    Ratio,
    odd_fractions,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edgekit.calibration.options import Options
    from edgekit.calibration.ranges import Range
    from edgekit.calibration.scale_groups import Grid
    from edgekit.ir import Graph, Node


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class AssignedScales:
    """What the walk decided.

    Attributes:
        graph: with what had to be rescaled.
        params: of every int8 tensor and constant, by name.
        ratios: of every operator that requantizes, by node name.
        constants: int8 weights and operands, and int32 biases, by name.
    """

    graph: Graph
    params: dict[str, QuantParams]
    ratios: dict[str, Ratio]
    constants: dict[str, NDArray[Any]]


def assign_scales(
    graph: Graph,
    ranges: Mapping[str, Range],
    fixed: Mapping[str, Grid],
    options: Options,
) -> AssignedScales:
    """Scales and integers of everything that is int8.

    Args:
        graph: with borders.
        ranges: of the int8 tensors whose grid is free, within their clamps.
        fixed: the grids of the others.
        options: how many scales weights have, and how many bits.

    Raises:
        UnsupportedOperator: an operator has no integer form, or scales that no kernel bridges.
    """
    fixed = {node.output: node.op.grid for node in graph if node.output in ranges and node.op.grid} | dict(fixed)
    while True:
        found = scale_groups(graph, ranges, fixed)
        state = ScaleState(found, weight_limit=options.weight_limit)
        try:
            _walk(state)
        except NoCommonScaleError as conflict:
            graph, name = rescaled(found.graph, conflict.tensor, conflict.readers)
            ranges = {**found.ranges, name: found.ranges[conflict.tensor]}
        else:
            break
    _take_up_the_rest(state, per_tensor=options.per_tensor_weights)
    return AssignedScales(found.graph, state.params(), state.ratios, state.constants)


def _walk(state: ScaleState) -> None:
    for node in state.nodes:
        if node.op.scales is Scales.NONE:
            raise UnsupportedOperator(
                f"layer {node.name!r} ({type(node.op).__name__}) has no integer form: put it behind a convolution "
                f"or linear layer, or replace it"
            )
    _raise_wanted(state)
    for name in (state.graph.input, *(name for name, group in state.groups.items() if group.fixed is not None)):
        state.fix(name)
    for node in state.nodes:
        if node.op.requantizes:
            _solve(state, node)
        elif node.op.moves_values:
            state.fix(node.output)


def _solve(state: ScaleState, node: Node) -> None:
    try:
        SOLVES[node](state, node)
    except NoTieFreeScaleError as error:
        raise UnsupportedOperator(
            f"layer {node.name!r}: {error}. Check the mean and std of the calibration images, or put a "
            f"convolution between the layer and an operand that is not one's output"
        ) from error


def _raise_wanted(state: ScaleState) -> None:
    """Raise scales that are too small.

    That takes a tensor that is (nearly) always zero, or a sum of operands that cancel each other. Results first,
    then operands; those may raise results again.
    """
    nodes = [node for node in state.nodes if node.op.requantizes]
    for _ in range(2):
        for node in nodes:
            state.raise_to(node.output, LEAST_RESULT[node](state, node))
        for node in reversed(nodes):
            for name in state.graph.activations(node):
                state.raise_to(name, LEAST_OPERAND[node](state, node, name))


def _take_up_the_rest(state: ScaleState, *, per_tensor: bool) -> None:
    for node in state.nodes:
        if node.op.has_weights:
            _weights(state, node, per_tensor=per_tensor)
        elif (constant := state.constant_factor(node)) is not None:
            _factor(state, node, constant)


def _weights(state: ScaleState, node: Node, *, per_tensor: bool) -> None:
    x, weight, bias = node.read("x", "weight", "bias")
    s_in, s_out = float(state.fix(x)), float(state.fix(node.output))
    real = state.graph.constants[weight].astype(np.float64)
    largest = np.abs(real).reshape(len(real), -1).max(1)  # [O]
    if per_tensor:  # the same scale in every channel: no runtime knows the difference
        largest = np.full_like(largest, largest.max())
    wanted = largest * s_in / s_out
    if is_uniform(real) and not (per_tensor and np.ptp(np.abs(real))):
        ratio = _of_like_weights(state, node, wanted)
    else:
        ratio = state.ratio(node, wanted / state.weight_limit, MAX_DENOMINATOR)
    scale = ratio.value * s_out / s_in  # [O]
    stored = np.rint(real / scale.reshape(-1, *[1] * (real.ndim - 1)))
    # A bias that is cut off here is 2**30 / 4095 steps of the output or more: it saturates as it would have.
    stored_bias = np.clip(np.rint(state.graph.constants[bias] / (s_in * scale)), -BIAS_LIMIT, BIAS_LIMIT)
    state.constant_params[weight] = QuantParams((scale[:1] if per_tensor else scale).astype(np.float32))
    state.constants[weight] = np.clip(stored, -state.weight_limit, state.weight_limit).astype(np.int8)
    state.constants[bias] = stored_bias.astype(np.int32)


def _of_like_weights(state: ScaleState, node: Node, wanted: NDArray[np.float64]) -> Ratio:
    """The ratios of weights that are all stored as 1 or -1, as precise as those of constants: any error is one of gain.

    A coarser one with smaller terms is better only where float32 sums are proven with it, and not else.
    """
    weight, bias = (state.graph.constants[name] for name in node.read("weight", "bias"))
    zero_point, s_out = state.zero_point(node.operand("x")), float(state.fix(node.output))
    found = []
    for tolerance in (CONSTANT_TOLERANCE, SCALE_TOLERANCE):
        try:
            ratio = state.ratio(node, wanted, MAX_DENOMINATOR, tolerance=tolerance)
        except NoTieFreeScaleError:
            continue
        found.append(ratio)
        biases = np.rint(np.abs(bias) / (ratio.value * s_out)).astype(np.int64)
        terms = LikeTerms(weight[0].size, np.ones(len(weight), np.int64), biases)
        if terms.are_proven(ratio, zero_point):
            return ratio
    state.ratios[node.name] = found[0]
    return found[0]


def _factor(state: ScaleState, node: Node, constant: str) -> None:
    """The constant of a MUL has the scale that makes the ratio tie-free; a number is stored as 1, 0 or -1."""
    values = state.graph.constants[constant].astype(np.float64)
    a, out = state.fix(node.operand("a")), state.fix(node.output)
    wanted = np.array([float(a / out * state.constant_step(constant))])
    try:
        ratio = state.ratios[node.name] = odd_fractions(wanted, CONSTANT_TOLERANCE)
    except NoTieFreeScaleError:
        ratio = state.ratio(node, wanted, MAX_DENOMINATOR)
    scale = float(ratio.fraction() * out / a)
    stored = np.sign(values) if values.size == 1 else np.clip(np.rint(values / scale), WEIGHT_MIN, WEIGHT_MAX)
    state.constants[constant] = stored.astype(np.int8)
    state.constant_params[constant] = QuantParams(np.array([scale], np.float32))
