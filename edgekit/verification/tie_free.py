"""Whether the scales of an integer model are those that make every runtime compute the same integers.

The condition, its proof and the bounds of each kernel's error are the docstring of ``edgekit.quantization``. Here they
are checked on a model as it is saved: nothing of what assigned the scales is trusted, neither that the stored float32
scales give the stored ratios, nor that those ratios keep the bounds. (An even denominator does not get that far:
``Ratio`` refuses it, and so does ``IntegerModel.load``.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit import curves, mean
from edgekit.ir import Add, Conv2d, Linear, Mean, Mul, Op, Sigmoid
from edgekit.ir.registry import OperatorTable
from edgekit.quantization import (
    BIAS_LIMIT,
    MAX_DENOMINATOR,
    MAX_TERM_ADD,
    RATIO_LIMIT,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from fractions import Fraction

    from numpy.typing import NDArray

    from edgekit.integer_model import IntegerModel
    from edgekit.ir import Node

    Bounds = Callable[[Fraction, int], Iterator[tuple[str, str]]]

_ROUNDING: Final = 2.0**-24  # of one float32 number, relative
_ALL: Final = "LiteRT, ONNX Runtime, Core ML and torch"
_XNNPACK: Final = "LiteRT with XNNPACK"


@dataclass(frozen=True, slots=True)
class BrokenCondition:
    """A ratio, scale or integer for which identity is not proven.

    Attributes:
        layer: of the checkpoint (``Node.name``).
        tensor: whose scale or integers they are.
        found: the ratio or number, in words ("13/64 in channel 5").
        bound: what it has to keep.
        runtimes: which can disagree with the reference or with each other.
    """

    layer: str
    tensor: str
    found: str
    bound: str
    runtimes: str

    def __str__(self) -> str:
        return f"{self.tensor}: {self.found}, and {self.bound}: {self.runtimes} can disagree (layer {self.layer})"


def broken_conditions(model: IntegerModel) -> tuple[BrokenCondition, ...]:
    """Everything in a model that keeps runtimes from being proven identical; nothing where they are.

    Layers that are kept in float or have 16-bit activations claim nothing, and are left out.
    """
    return tuple(condition for node in model.graph for condition in _of_node(model, node))


def _of_node(model: IntegerModel, node: Node) -> Iterator[BrokenCondition]:
    if model.width(node.output) != 8 or node.op.border:  # what integers follow from reals or 16 bits claims nothing
        return
    if node.op.moves_values:
        yield from _moved(model, node)
    elif type(node.op) in REQUANTIZED:
        yield from REQUANTIZED[node](model, node)
    else:
        kind = type(node.op).__name__
        yield BrokenCondition(node.name, node.output, f"it is made by {kind}", "nothing is proven of that", _ALL)


def _requantizing(op: type[Op]) -> str:
    """The scope of the proof: what accumulates integers and rounds them."""
    return "" if op.requantizes else "it requantizes nothing"


# The conditions of each operator of which ``edgekit.quantization`` proves something.
REQUANTIZED: OperatorTable[[IntegerModel, Node], Iterator[BrokenCondition]] = OperatorTable("the proof", _requantizing)


@REQUANTIZED.implements(Conv2d, Linear)
def _layer(_: Op, model: IntegerModel, node: Node) -> Iterator[BrokenCondition]:
    x, weight = node.read("x", "weight")
    channels = len(model.graph.constants[weight])
    scale = np.broadcast_to(model.params[weight].scale.astype(np.float64), (channels,))
    yield from _ratios(model, node, _scale(model, x) * scale, _single, roundings=3)
    yield from _integers(model, node)


@REQUANTIZED.implements(Add)
def _sum(_: Add, model: IntegerModel, node: Node) -> Iterator[BrokenCondition]:
    scales = np.array([_scale(model, name) for name in node.read("a", "b")])
    yield from _ratios(model, node, scales, _of_sum, roundings=2)


@REQUANTIZED.implements(Mul)
def _product(_: Mul, model: IntegerModel, node: Node) -> Iterator[BrokenCondition]:
    a, b = (_scale(model, name) for name in node.read("a", "b"))
    yield from _ratios(model, node, np.array([a * b]), _single, roundings=3)


@REQUANTIZED.implements(Mean)
def _mean(_: Mean, model: IntegerModel, node: Node) -> Iterator[BrokenCondition]:
    x = node.operand("x")
    count = math.prod(model.graph.tensors[x].shape[1:])
    # Its denominator has no bound: ``_sums`` asks the kernels instead.
    yield from _ratios(model, node, np.array([_scale(model, x) / count]), _limited, roundings=2)
    yield from _sums(model, node, count)


@REQUANTIZED.implements(Sigmoid)
def _curve(op: Sigmoid, model: IntegerModel, node: Node) -> Iterator[BrokenCondition]:
    made, read = (model.params[name] for name in (node.output, node.operand("x")))
    if (float(made.scale[0]), made.zero_point) != op.grid:
        found = f"scale {made.scale[0]:.9g} and zero point {made.zero_point}"
        bound = f"kernels insist on {op.grid[0]:.9g} and {op.grid[1]}"
        yield BrokenCondition(node.name, node.output, found, bound, _ALL)
    elif (distance := curves.distance(node, read, made)) < curves.MARGIN:
        bound = f"it has to be {curves.MARGIN:.2g} steps away"
        yield BrokenCondition(node.name, node.output, f"an entry is {distance:.2g} steps from a tie", bound, _ALL)


def _scale(model: IntegerModel, name: str) -> float:
    return float(model.params[name].scale[0])


def _ratios(
    model: IntegerModel, node: Node, accumulator_scales: NDArray[np.float64], bounds: Bounds, *, roundings: int
) -> Iterator[BrokenCondition]:
    """Of one requantization: the stored ratios are those of the stored scales, and keep the bounds.

    Args:
        model: the model.
        node: what requantizes.
        accumulator_scales: what one step of what is requantized means, [n], for each ratio.
        bounds: that each ratio has to keep.
        roundings: how many float32 numbers a ratio is computed of, each off by half a unit in the last place.
    """

    def broken(found: str, bound: str, runtimes: str) -> BrokenCondition:
        return BrokenCondition(node.name, node.output, found, bound, runtimes)

    if node.name not in model.ratios:
        yield broken("no ratio", "one has to say how it is requantized", _ALL)
        return
    ratio = model.ratios[node.name]
    if len(ratio.numerator) != len(accumulator_scales):
        yield broken(f"{len(ratio.numerator)} ratios", f"there are {len(accumulator_scales)} of the scales", _ALL)
        return
    given = accumulator_scales / _scale(model, node.output)
    error = np.abs(given / ratio.value - 1)
    if (error > (tolerance := roundings * _ROUNDING * (1 + 2**-20))).any():
        worst = int(error.argmax())
        found = f"the scales give {given[worst]:.9g} for {_text(ratio.fraction(worst), worst, len(given))}"
        yield broken(found, f"float32 rounds by {tolerance:.2g} at most, not {error[worst]:.2g}", _ALL)
    fractions = [ratio.fraction(index) for index in range(len(given))]
    common = math.lcm(*(fraction.denominator for fraction in fractions))
    seen: set[str] = set()
    for index, fraction in enumerate(fractions):
        for bound, runtimes in bounds(fraction, common):
            if bound not in seen:  # one channel stands for all
                seen.add(bound)
                yield broken(_text(fraction, index, len(fractions)), bound, runtimes)


# --- the bounds that a ratio in lowest terms breaks, and who is concerned; the second argument is the denominator that
# all ratios of the operator have in common


def _limited(fraction: Fraction, _: int) -> Iterator[tuple[str, str]]:
    """Of any ratio."""
    if fraction >= RATIO_LIMIT:
        yield f"it has to be below {RATIO_LIMIT}", f"{_XNNPACK} refuses it; others"


def _single(fraction: Fraction, common: int) -> Iterator[tuple[str, str]]:
    """Of what is accumulated, then multiplied by one ratio."""
    yield from _limited(fraction, common)
    if fraction.denominator > MAX_DENOMINATOR:
        yield f"the denominator {fraction.denominator} may not exceed {MAX_DENOMINATOR}", _ALL


def _of_sum(fraction: Fraction, common: int) -> Iterator[tuple[str, str]]:
    """Of the operands of a sum, each of which is multiplied by its own."""
    yield from _limited(fraction, common)
    largest = max(common, int(fraction * common))
    if largest > MAX_TERM_ADD:
        yield f"neither term may exceed {MAX_TERM_ADD}, and one is {largest}", f"{_XNNPACK} and ONNX Runtime"


def _sums(model: IntegerModel, node: Node, count: int) -> Iterator[BrokenCondition]:
    """Every kernel rounds every sum of a MEAN to one integer."""
    if node.name not in model.ratios:
        return
    ratio = model.ratios[node.name].fraction()
    found = mean.disagreement(ratio, count, *(model.params[name] for name in (node.operand("x"), node.output)))
    if found is not None:
        kernel, total = found
        bound = f"a sum of {total} lies nearer to a tie than {kernel} is precise"
        yield BrokenCondition(node.name, node.output, f"{ratio} for {count} values", bound, kernel)


def _integers(model: IntegerModel, node: Node) -> Iterator[BrokenCondition]:
    weight, bias = node.read("weight", "bias")
    stored, biases = (model.graph.constants[name].astype(np.int64) for name in (weight, bias))
    limit = model.weight_limit
    if (np.abs(stored) > limit).any():
        worst = int(stored.flat[np.abs(stored).argmax()])
        bound = f"weights are symmetric, from {-limit} to {limit}"
        yield BrokenCondition(node.name, weight, f"a weight of {worst}", bound, _ALL)
    if (np.abs(biases) > BIAS_LIMIT).any():
        worst = int(np.abs(biases).argmax())
        found, bound = f"{biases[worst]} in channel {worst}", "a bias beyond 2**30 can overflow the accumulator"
        yield BrokenCondition(node.name, bias, found, bound, _ALL)


def _moved(model: IntegerModel, node: Node) -> Iterator[BrokenCondition]:
    """What only moves integers leaves them what they mean: all have one scale and zero point."""
    made = model.params[node.output]
    for name in model.graph.activations(node):
        read = model.params[name]
        if read.scale[0] != made.scale[0] or read.zero_point != made.zero_point:
            found = f"scale {made.scale[0]:.9g} and zero point {made.zero_point}"
            bound = f"those of {name} are {read.scale[0]:.9g} and {read.zero_point}, and nothing is requantized"
            yield BrokenCondition(node.name, node.output, found, bound, _ALL)


def _text(fraction: Fraction, index: int, count: int) -> str:
    return f"{fraction}" if count == 1 else f"{fraction} in channel {index}"
