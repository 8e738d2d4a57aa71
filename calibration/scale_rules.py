"""What each operator that requantizes asks of scales: a row in three tables."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from edgekit import curves, mean
from edgekit.calibration.scale_state import NoCommonScaleError
from edgekit.ir import Add, Conv2d, Linear, Mean, Mul, Op, Sigmoid
from edgekit.ir.registry import OperatorTable
from edgekit.quantization import (
    MAX_DENOMINATOR,
    RATIO_LIMIT,
    SCALE_TOLERANCE,
    WEIGHT_MAX,
    WEIGHT_MIN,
    NoTieFreeScaleError,
    QuantParams,
    Ratio,
    solve_add,
    solve_add_constant,
)

if TYPE_CHECKING:
    from edgekit.calibration.scale_state import ScaleState
    from edgekit.ir import Node

CONSTANT_TOLERANCE = 1e-3  # of an added constant and of that sum's scale: for hard-swish both are errors of its gain
# What scales are raised to, in relation to others. A grid much finer than the one its values come from gains nothing,
# and neither does an operand with a grid much finer than its sum's.
_SUM_OF_OPERAND = Fraction(1, 16)
_OPERAND_OF_SUM = Fraction(1, 64)
_MEAN_OF_INPUT = Fraction(1, 64)  # up to here a MEAN's smallest denominator is safe: edgekit.quantization
_TRIES = 200  # denominators for a MEAN of so many values that the smallest may not serve; one in two does
_STEPS = 64  # into which the tolerance is divided where scales are tried one after the other
_RATIO = RATIO_LIMIT // 2  # the walk may still move scales a little


def _requantizing(op: type[Op]) -> str:
    """The scope of the tables: all other operators set no conditions, or share the scales of what they move."""
    return "" if op.requantizes else "it requantizes nothing"


# The least scale that a kernel takes of its result, that of an operand, and how scales are solved for.
LEAST_RESULT: OperatorTable[[ScaleState, Node], Fraction] = OperatorTable(
    "the solver of scales (of results)", _requantizing
)
LEAST_OPERAND: OperatorTable[[ScaleState, Node, str], Fraction] = OperatorTable(
    "the solver of scales (of operands)", _requantizing
)
SOLVES: OperatorTable[[ScaleState, Node], None] = OperatorTable("the solver of scales", _requantizing)


@LEAST_RESULT.implements(Conv2d, Linear)
def _least_of_layer(_: Op, state: ScaleState, node: Node) -> Fraction:
    x, weight = node.read("x", "weight")
    largest = Fraction(float(np.abs(state.graph.constants[weight]).max()))
    return state.wanted(x) * largest / state.largest_weight(node) / _RATIO


@LEAST_OPERAND.implements(Conv2d, Linear, Mean, Sigmoid)
def _any_scale(_: Op, __: ScaleState, ___: Node, ____: str) -> Fraction:
    return Fraction(0)


@SOLVES.implements(Conv2d, Linear)
def _by_weights(_: Op, __: ScaleState, ___: Node) -> None:
    """Its weights adapt to whatever scales its input and output get."""


@LEAST_RESULT.implements(Add)
def _least_sum(_: Add, state: ScaleState, node: Node) -> Fraction:
    inputs = [state.wanted(name) for name in state.graph.activations(node)]
    added = [state.graph.constants[name] for name in node.inputs if name in state.graph.constants]
    inputs += [Fraction(float(np.abs(constant).max())) / WEIGHT_MAX for constant in added]
    return max(inputs) * _SUM_OF_OPERAND


@LEAST_OPERAND.implements(Add)
def _least_term(_: Add, state: ScaleState, node: Node, __: str) -> Fraction:
    others = (node.output, *state.graph.activations(node))
    return max(state.wanted(other) for other in others) * _OPERAND_OF_SUM


@SOLVES.implements(Add)
def _add(_: Add, state: ScaleState, node: Node) -> None:
    a, b = node.read("a", "b")
    state.claim_result(node)
    if b in state.graph.constants:
        _add_constant(state, node, a, b)
        return
    # The operand that is fixed already leads; where both are free, the first does.
    lead, other = sorted((a, b), key=lambda name: not state.is_fixed(name))
    scale, fixed_b = state.fix(lead), state.is_fixed(other)
    try:
        wanted_b = state.fix(other) if fixed_b else state.wanted(other)
        solution = solve_add(scale, wanted_b, state.wanted(node.output), fixed_b=fixed_b)
    except NoTieFreeScaleError:
        if fixed_b and other != lead:
            raise NoCommonScaleError(other, [node.name]) from None
        raise
    if not fixed_b:
        state.settle(other, solution.b)
    state.settle(node.output, solution.out)
    ratio = solution.ratio
    state.ratios[node.name] = Ratio(ratio.numerator[::-1].copy(), ratio.denominator) if lead != a else ratio


def _add_constant(state: ScaleState, node: Node, x: str, constant: str) -> None:
    """A number is stored as one int8 value with a scale of its own, an array as any operand whose scale is free."""
    values, wanted = state.graph.constants[constant].astype(np.float64), state.wanted(node.output)
    if values.size > 1:
        solved = solve_add(state.fix(x), state.constant_step(constant), wanted, fixed_b=False)
        state.settle(node.output, solved.out)
        state.ratios[node.name] = solved.ratio
        state.constant_params[constant] = QuantParams(np.array([float(solved.b)], np.float32))
        stored = np.clip(np.rint(values / float(solved.b)), WEIGHT_MIN, WEIGHT_MAX)
        state.constants[constant] = stored.astype(np.int8)
        return
    solution = solve_add_constant(state.fix(x), values.item(), wanted, tolerance=CONSTANT_TOLERANCE)
    state.settle(node.output, solution.out)
    state.ratios[node.name] = solution.ratio
    state.constants[constant] = np.array([solution.stored], np.int8)
    state.constant_params[constant] = QuantParams(np.array([float(solution.constant)], np.float32))


@LEAST_RESULT.implements(Mul)
def _least_product(_: Mul, state: ScaleState, node: Node) -> Fraction:
    return _product(state, node) / _RATIO


@LEAST_OPERAND.implements(Mul)
def _least_factor(_: Mul, state: ScaleState, node: Node, name: str) -> Fraction:
    """To a ratio of 1 / 4095: one step of an operand is at most a 16th of one of the product."""
    return state.wanted(name) * state.wanted(node.output) / _product(state, node) / MAX_DENOMINATOR


def _product(state: ScaleState, node: Node) -> Fraction:
    """What one step of each operand together means; a constant of one element is stored as 1."""
    factors = [state.wanted(name) for name in state.graph.activations(node)]
    constant = state.constant_factor(node)
    if constant is not None:
        factors.append(state.constant_step(constant))
    return math.prod(factors, start=Fraction(1))


@SOLVES.implements(Mul)
def _mul(_: Mul, state: ScaleState, node: Node) -> None:
    if state.constant_factor(node) is not None:
        return  # its constant takes up what is left
    state.claim_result(node)
    a, b = (state.fix(name) for name in node.read("a", "b"))
    # A ratio that is raised to 1 / 4095 leaves nothing to saturate, the largest product being 255 * 255.
    state.settle_result(node, a * b, MAX_DENOMINATOR)


@LEAST_RESULT.implements(Mean)
def _least_mean(_: Mean, state: ScaleState, node: Node) -> Fraction:
    return state.wanted(node.operand("x")) * _MEAN_OF_INPUT


@SOLVES.implements(Mean)
def _mean(_: Mean, state: ScaleState, node: Node) -> None:
    """Every kernel is to give one integer for every sum, as far as a few tries go.

    What a few do not find, ``edgekit verify`` names.
    """
    state.claim_result(node)
    x = node.operand("x")
    count = math.prod(state.graph.tensors[x].shape[1:])
    scale, wanted = state.fix(x) / count, state.wanted(node.output)
    # Raising the ratio would saturate, so the denominator may be as large as it has to.
    limit = max(MAX_DENOMINATOR, 2 * math.ceil(wanted / scale) + 1)
    state.settle_result(node, scale, limit)
    smallest = state.ratios[node.name].fraction().denominator
    for q in range(smallest, smallest + 2 * _TRIES, 2):
        fraction = Fraction(max(round(scale / wanted * q), 1), q)
        if abs(fraction * wanted / scale - 1) > SCALE_TOLERANCE:
            continue
        state.settle(node.output, scale / fraction)
        if mean.disagreement(fraction, count, state.params_of(x), state.params_of(node.output)) is None:
            state.ratios[node.name] = Ratio.of((fraction.numerator, fraction.denominator))
            return
    state.settle_result(node, scale, limit)


@LEAST_RESULT.implements(Sigmoid)
def _fixed_scale(_: Op, __: ScaleState, ___: Node) -> Fraction:
    return Fraction(0)


@SOLVES.implements(Sigmoid)
def _curve(_: Op, state: ScaleState, node: Node) -> None:
    """The scale of the operand is the nearest to the wanted one with which no entry of the table is near a tie.

    Where there is none within the tolerance, it is the wanted one, and the result is near (``IntegerModel.near``). None
    of 3000 scales was so, those among them that put many entries on ties.
    """
    x = node.operand("x")
    given = state.params_of(node.output)

    def is_safe(scale: Fraction) -> bool:
        tried = QuantParams(np.array([float(scale)], np.float32), state.zero_point(x))
        return curves.distance(node, tried, given) >= curves.MARGIN

    if state.is_fixed(x):
        if not is_safe(state.fix(x)):
            raise NoCommonScaleError(x, [node.name])
        return
    wanted = state.wanted(x)
    tolerance = Fraction(SCALE_TOLERANCE) / _STEPS
    moves = sorted(range(-_STEPS, _STEPS + 1), key=abs)
    scales = (wanted * (1 + move * tolerance) for move in moves)
    state.settle(x, next((scale for scale in scales if is_safe(scale)), wanted))
