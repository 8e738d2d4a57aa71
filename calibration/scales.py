"""The walk that fixes scales, so that every requantization ratio is tie-free (``edgekit.quantization``).

1. Wanted scales come from the ranges of groups (``scale_groups``).
2. Some are raised, so that no kernel refuses a ratio of them.
3. In topological order they are fixed one after the other. What each operator asks for is a row in three tables below.
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

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import mean
from edgekit.calibration.ranges import MIN_RANGE
from edgekit.calibration.scale_groups import rescaled, scale_groups
from edgekit.errors import UnsupportedOperator
from edgekit.ir import Add, Conv2d, Linear, Mean, Mul, Op
from edgekit.ir.operators.operator import Scales
from edgekit.ir.registry import OperatorTable
from edgekit.quantization import (
    BIAS_LIMIT,
    INT8_MAX,
    MAX_DENOMINATOR,
    RATIO_LIMIT,
    SCALE_TOLERANCE,
    WEIGHT_MAX,
    NoTieFreeScaleError,
    QuantParams,
    Ratio,
    activation_params,
    odd_fractions,
    solve_add,
    solve_add_constant,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgekit.calibration.ranges import Range
    from edgekit.calibration.scale_groups import Grid, Group, Grouped
    from edgekit.ir import Graph, Node

CONSTANT_TOLERANCE = 1e-3  # of an added constant and of that sum's scale: for hard-swish both are errors of its gain
# What scales are raised to, in relation to others. A grid much finer than the one its values come from gains nothing,
# and neither does an operand with a grid much finer than its sum's.
_SUM_OF_OPERAND = Fraction(1, 16)
_OPERAND_OF_SUM = Fraction(1, 64)
_MEAN_OF_INPUT = Fraction(1, 64)  # up to here a MEAN's smallest denominator is safe: edgekit.quantization
_TRIES = 200  # denominators for a MEAN of so many values that the smallest may not serve; one in two does
_RATIO = RATIO_LIMIT // 2  # the walk may still move scales a little


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
    *,
    per_tensor_weights: bool,
    weight_limit: int,
) -> AssignedScales:
    """Scales and integers of everything that is int8.

    Args:
        graph: with borders.
        ranges: of the int8 tensors whose grid is free, within their clamps.
        fixed: the grids of the others.
        per_tensor_weights: one scale for all output channels of a layer.
        weight_limit: the largest weight.

    Raises:
        UnsupportedOperator: an operator has no integer form, or scales that no kernel bridges.
    """
    fixed = {node.output: node.op.grid for node in graph if node.output in ranges and node.op.grid} | dict(fixed)
    while True:
        found = scale_groups(graph, ranges, fixed)
        walk = _Walk(found, per_tensor_weights=per_tensor_weights, weight_limit=weight_limit)
        try:
            walk.run()
        except _NoCommonScaleError as conflict:
            graph, name = rescaled(found.graph, conflict.tensor, conflict.readers)
            ranges = {**found.ranges, name: found.ranges[conflict.tensor]}
        else:
            return AssignedScales(found.graph, walk.params(), walk.ratios, walk.constants)


class _NoCommonScaleError(Exception):
    """A tensor would need two scales: one that is fixed already, and one for the nodes of these names."""

    def __init__(self, tensor: str, readers: Sequence[str]) -> None:
        super().__init__(tensor)
        self.tensor, self.readers = tensor, readers


def _grid(found: Range) -> Grid:
    """Scale and zero point for a range, at least ``MIN_RANGE``."""
    low, high = found.low, found.high
    if high - low < MIN_RANGE:
        low, high = (low, low + MIN_RANGE) if high >= -low else (high - MIN_RANGE, high)
    return activation_params(low, high)


class _Walk:
    """The walk over one graph: what has been decided so far. Scales belong to groups, and go by their first member."""

    def __init__(self, found: Grouped, *, per_tensor_weights: bool, weight_limit: int) -> None:
        graph, groups = found.graph, found.groups
        self.graph = graph
        self.per_tensor_weights, self.weight_limit = per_tensor_weights, weight_limit
        self._groups = {name: group for group in groups for name in group.members}
        self.nodes = [node for node in graph if node.output in self._groups and not node.op.border]
        grids = {group.members[0]: group.fixed or _grid(group.range) for group in groups}
        self._wanted = {name: Fraction(scale) for name, (scale, _) in grids.items()}
        self._zero_points = {name: zero_point for name, (_, zero_point) in grids.items()}
        self._scales: dict[str, Fraction] = {}  # those that are fixed
        self.constant_params: dict[str, QuantParams] = {}
        self.ratios: dict[str, Ratio] = {}
        self.constants: dict[str, NDArray[Any]] = {}

    def run(self) -> None:
        for node in self.nodes:
            if node.op.scales is Scales.NONE:
                raise UnsupportedOperator(
                    f"layer {node.name!r} ({type(node.op).__name__}) has no integer form: put it behind a convolution "
                    f"or linear layer, or replace it"
                )
        self._raise_wanted()
        for name in (self.graph.input, *(name for name, group in self._groups.items() if group.fixed is not None)):
            self.fix(name)
        for node in self.nodes:
            if node.op.requantizes:
                self._solve(node)
            elif node.op.moves_values:
                self.fix(node.output)
        self._take_up_the_rest()

    def _solve(self, node: Node) -> None:
        try:
            _SOLVES[node](self, node)
        except NoTieFreeScaleError as error:
            raise UnsupportedOperator(
                f"layer {node.name!r}: {error}. Check the mean and std of the calibration images, or put a "
                f"convolution between the layer and an operand that is not one's output"
            ) from error

    # --- scales

    def group(self, tensor: str) -> Group:
        """The group that ``tensor`` belongs to."""
        return self._groups[tensor]

    def wanted(self, tensor: str) -> Fraction:
        """The scale that it would have if nothing else mattered."""
        return self._wanted[self._groups[tensor].members[0]]

    def is_fixed(self, tensor: str) -> bool:
        """Whether its scale is fixed already."""
        return self._groups[tensor].members[0] in self._scales

    def fix(self, tensor: str) -> Fraction:
        """The scale of ``tensor``, from now on unchangeable."""
        return self._scales.setdefault(self._groups[tensor].members[0], self.wanted(tensor))

    def settle(self, tensor: str, scale: Fraction) -> None:
        """Give ``tensor``, which is not fixed, its scale."""
        self._scales[self._groups[tensor].members[0]] = scale

    def claim_result(self, node: Node) -> None:
        """Make sure that the scale of the result is still free.

        Raises:
            _NoCommonScaleError: it is shared with a tensor whose scale is fixed.
        """
        if self.is_fixed(node.output):
            members = self.group(node.output).members
            movers = [n.name for n in self.graph.consumers(node.output) if n.op.moves_values and n.output in members]
            raise _NoCommonScaleError(node.output, movers)

    def params_of(self, tensor: str) -> QuantParams:
        """The parameters of ``tensor``, whose scale is fixed by that."""
        zero_point = self._zero_points[self._groups[tensor].members[0]]
        return QuantParams(np.array([float(self.fix(tensor))], np.float32), zero_point)

    def params(self) -> dict[str, QuantParams]:
        """The parameters of every quantized tensor and int8 constant."""
        return {name: self.params_of(name) for name in self._groups} | self.constant_params

    def ratio(self, node: Node, wanted: NDArray[np.float64], limit: int) -> Ratio:
        """The tie-free ratios of ``node`` nearest to those wanted."""
        ratio = self.ratios[node.name] = odd_fractions(wanted, limit=limit)
        if ratio.value.max() >= RATIO_LIMIT:
            raise UnsupportedOperator(
                f"layer {node.name!r} has inputs or weights far too large for the clamp behind it: check the weights, "
                f"and the mean and std of the images"
            )
        return ratio

    def settle_result(self, node: Node, accumulator_scale: Fraction, limit: int) -> None:
        """Fix the output of MUL or MEAN so that accumulator_scale / S_out is tie-free."""
        ratio = self.ratio(node, np.array([float(accumulator_scale / self.wanted(node.output))]), limit)
        self.settle(node.output, accumulator_scale / ratio.fraction())

    def constant_factor(self, node: Node) -> str | None:
        """The constant that a MUL multiplies by; None of anything else."""
        constants = [name for name in node.inputs if name in self.graph.constants]
        return constants[0] if constants and not (node.op.has_weights or node.op.has_ratio_per_operand) else None

    # --- scales that are so small in relation to others that a kernel would refuse their ratio

    def _raise_wanted(self) -> None:
        """Raise scales that are too small.

        That takes a tensor that is (nearly) always zero, or a sum of operands that cancel each other. Results first,
        then operands; those may raise results again.
        """
        nodes = [node for node in self.nodes if node.op.requantizes]
        for _ in range(2):
            for node in nodes:
                self._raise(node.output, _LEAST_RESULT[node](self, node))
            for node in reversed(nodes):
                for name in self.graph.activations(node):
                    self._raise(name, _LEAST_OPERAND[node](self, node, name))

    def _raise(self, tensor: str, scale: Fraction) -> None:
        """Raise a wanted scale, but not so far that its range exceeds a clamp; what is fixed stays."""
        group = self._groups[tensor]
        first = group.members[0]
        if group.fixed is not None or self.graph.input in group.sources:
            return
        steps = INT8_MAX - self._zero_points[first]
        for name in group.sources:
            producer = self.graph.producer(name)
            clamp = None if producer is None else producer.activation
            if clamp is not None and clamp.high < math.inf and steps > 0:
                scale = min(scale, Fraction(clamp.high) / steps)
        self._wanted[first] = max(self._wanted[first], scale)

    # --- what takes up the rest

    def _take_up_the_rest(self) -> None:
        for node in self.nodes:
            if node.op.has_weights:
                self._weights(node)
            elif (constant := self.constant_factor(node)) is not None:
                self._factor(node, constant)

    def _weights(self, node: Node) -> None:
        x, weight, bias = node.read("x", "weight", "bias")
        s_in, s_out = float(self.fix(x)), float(self.fix(node.output))
        real = self.graph.constants[weight].astype(np.float64)
        largest = np.abs(real).reshape(len(real), -1).max(1)  # [O]
        if self.per_tensor_weights:  # the same scale in every channel: no runtime knows the difference
            largest = np.full_like(largest, largest.max())
        ratio = self.ratio(node, largest / self.weight_limit * s_in / s_out, MAX_DENOMINATOR)
        scale = ratio.value * s_out / s_in  # [O]
        stored = np.rint(real / scale.reshape(-1, *[1] * (real.ndim - 1)))
        # A bias that is cut off here is 2**30 / 4095 steps of the output or more: it saturates as it would have.
        stored_bias = np.clip(np.rint(self.graph.constants[bias] / (s_in * scale)), -BIAS_LIMIT, BIAS_LIMIT)
        self.constant_params[weight] = QuantParams((scale[:1] if self.per_tensor_weights else scale).astype(np.float32))
        self.constants[weight] = np.clip(stored, -self.weight_limit, self.weight_limit).astype(np.int8)
        self.constants[bias] = stored_bias.astype(np.int32)

    def _factor(self, node: Node, constant: str) -> None:
        """The constant of a MUL is stored as 1, with the scale that makes the ratio tie-free."""
        value = float(self.graph.constants[constant].reshape(-1)[0])
        a, out = self.fix(node.operand("a")), self.fix(node.output)
        wanted = np.array([float(a / out) * value])
        try:
            ratio = self.ratios[node.name] = odd_fractions(wanted, CONSTANT_TOLERANCE)
        except NoTieFreeScaleError:
            ratio = self.ratio(node, wanted, MAX_DENOMINATOR)
        self.constants[constant] = np.ones(1, np.int8)
        self.constant_params[constant] = QuantParams(np.array([float(ratio.fraction() * out / a)], np.float32))


# --- what each operator that requantizes asks for ---------------------------------------------------------------------


def _requantizing(op: type[Op]) -> str:
    """The scope of the tables: all other operators set no conditions, or share the scales of what they move."""
    return "" if op.requantizes else "it requantizes nothing"


# The least scale of its result, that of an operand, and how scales are solved for.
_LEAST_RESULT: OperatorTable[[_Walk, Node], Fraction] = OperatorTable("the least scale of a result", _requantizing)
_LEAST_OPERAND: OperatorTable[[_Walk, Node, str], Fraction] = OperatorTable("the least operand's scale", _requantizing)
_SOLVES: OperatorTable[[_Walk, Node], None] = OperatorTable("the scale solver", _requantizing)


@_LEAST_RESULT.implements(Conv2d, Linear)
def _least_of_layer(_: Op, walk: _Walk, node: Node) -> Fraction:
    x, weight = node.read("x", "weight")
    largest = Fraction(float(np.abs(walk.graph.constants[weight]).max()))
    return walk.wanted(x) * largest / walk.weight_limit / _RATIO


@_LEAST_OPERAND.implements(Conv2d, Linear, Mean)
def _any_scale(_: Op, __: _Walk, ___: Node, ____: str) -> Fraction:
    return Fraction(0)


@_SOLVES.implements(Conv2d, Linear)
def _by_weights(_: Op, __: _Walk, ___: Node) -> None:
    """Its weights adapt to whatever scales its input and output get."""


@_LEAST_RESULT.implements(Add)
def _least_sum(_: Add, walk: _Walk, node: Node) -> Fraction:
    inputs = [walk.wanted(name) for name in walk.graph.activations(node)]
    added = [walk.graph.constants[name] for name in node.inputs if name in walk.graph.constants]
    inputs += [Fraction(float(np.abs(constant).max())) / WEIGHT_MAX for constant in added]
    return max(inputs) * _SUM_OF_OPERAND


@_LEAST_OPERAND.implements(Add)
def _least_term(_: Add, walk: _Walk, node: Node, __: str) -> Fraction:
    others = (node.output, *walk.graph.activations(node))
    return max(walk.wanted(other) for other in others) * _OPERAND_OF_SUM


@_SOLVES.implements(Add)
def _add(_: Add, walk: _Walk, node: Node) -> None:
    a, b = node.read("a", "b")
    walk.claim_result(node)
    if b in walk.graph.constants:
        _add_constant(walk, node, a, b)
        return
    # The operand that is fixed already leads; where both are free, the first does.
    lead, other = sorted((a, b), key=lambda name: not walk.is_fixed(name))
    scale, fixed_b = walk.fix(lead), walk.is_fixed(other)
    try:
        wanted_b = walk.fix(other) if fixed_b else walk.wanted(other)
        solution = solve_add(scale, wanted_b, walk.wanted(node.output), fixed_b=fixed_b)
    except NoTieFreeScaleError:
        if fixed_b and other != lead:
            raise _NoCommonScaleError(other, [node.name]) from None
        raise
    if not fixed_b:
        walk.settle(other, solution.b)
    walk.settle(node.output, solution.out)
    ratio = solution.ratio
    walk.ratios[node.name] = Ratio(ratio.numerator[::-1].copy(), ratio.denominator) if lead != a else ratio


def _add_constant(walk: _Walk, node: Node, x: str, constant: str) -> None:
    """The constant is stored as one int8 value with a scale of its own."""
    value = float(walk.graph.constants[constant].reshape(-1)[0])
    solution = solve_add_constant(walk.fix(x), value, walk.wanted(node.output), tolerance=CONSTANT_TOLERANCE)
    walk.settle(node.output, solution.out)
    walk.ratios[node.name] = solution.ratio
    walk.constants[constant] = np.array([solution.stored], np.int8)
    walk.constant_params[constant] = QuantParams(np.array([float(solution.constant)], np.float32))


@_LEAST_RESULT.implements(Mul)
def _least_product(_: Mul, walk: _Walk, node: Node) -> Fraction:
    return math.prod((walk.wanted(name) for name in walk.graph.activations(node)), start=Fraction(1)) / _RATIO


@_LEAST_OPERAND.implements(Mul)
def _least_factor(_: Mul, walk: _Walk, node: Node, name: str) -> Fraction:
    """To a ratio of 1 / 4095: one step of an operand is at most a 16th of one of the product."""
    product = math.prod((walk.wanted(other) for other in walk.graph.activations(node)), start=Fraction(1))
    return walk.wanted(name) * walk.wanted(node.output) / product / MAX_DENOMINATOR


@_SOLVES.implements(Mul)
def _mul(_: Mul, walk: _Walk, node: Node) -> None:
    if walk.constant_factor(node) is not None:
        return  # its constant takes up what is left
    walk.claim_result(node)
    a, b = (walk.fix(name) for name in node.read("a", "b"))
    # A ratio that is raised to 1 / 4095 leaves nothing to saturate, the largest product being 255 * 255.
    walk.settle_result(node, a * b, MAX_DENOMINATOR)


@_LEAST_RESULT.implements(Mean)
def _least_mean(_: Mean, walk: _Walk, node: Node) -> Fraction:
    return walk.wanted(node.operand("x")) * _MEAN_OF_INPUT


@_SOLVES.implements(Mean)
def _mean(_: Mean, walk: _Walk, node: Node) -> None:
    """Every kernel is to give one integer for every sum, as far as a few tries go.

    What a few do not find, ``edgekit verify`` names.
    """
    walk.claim_result(node)
    x = node.operand("x")
    count = math.prod(walk.graph.tensors[x].shape[1:])
    scale, wanted = walk.fix(x) / count, walk.wanted(node.output)
    # Raising the ratio would saturate, so the denominator may be as large as it has to.
    limit = max(MAX_DENOMINATOR, 2 * math.ceil(wanted / scale) + 1)
    walk.settle_result(node, scale, limit)
    smallest = walk.ratios[node.name].fraction().denominator
    for q in range(smallest, smallest + 2 * _TRIES, 2):
        fraction = Fraction(max(round(scale / wanted * q), 1), q)
        if abs(fraction * wanted / scale - 1) > SCALE_TOLERANCE:
            continue
        walk.settle(node.output, scale / fraction)
        if mean.disagreement(fraction, count, walk.params_of(x), walk.params_of(node.output)) is None:
            walk.ratios[node.name] = Ratio.of((fraction.numerator, fraction.denominator))
            return
    walk.settle_result(node, scale, limit)
