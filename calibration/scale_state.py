"""What has been decided of the scales of a graph so far."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.calibration.ranges import MIN_RANGE
from edgekit.errors import UnsupportedOperator
from edgekit.float_sums import is_uniform
from edgekit.quantization import (
    INT8_MAX,
    RATIO_LIMIT,
    SCALE_TOLERANCE,
    WEIGHT_MAX,
    QuantParams,
    Ratio,
    activation_params,
    odd_fractions,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgekit.calibration.ranges import Range
    from edgekit.calibration.scale_groups import Grid, Group, Grouped
    from edgekit.ir import Node


class NoCommonScaleError(Exception):
    """A tensor would need two scales: one that is fixed already, and one for the nodes of these names."""

    def __init__(self, tensor: str, readers: Sequence[str]) -> None:
        super().__init__(tensor)
        self.tensor, self.readers = tensor, readers


class ScaleState:
    """The scales of one graph. They belong to groups, and go by the first member of each.

    Attributes:
        graph: whose scales they are.
        groups: by each of their members.
        weight_limit: the largest weight.
        ratios: of operators that requantize, by node name.
        constants: int8 operands and weights, and int32 biases, by name.
        constant_params: the parameters of what is int8 among these.
    """

    def __init__(self, found: Grouped, *, weight_limit: int) -> None:
        graph, groups = found.graph, found.groups
        self.graph = graph
        self.weight_limit = weight_limit
        self.groups = {name: group for group in groups for name in group.members}
        self.nodes = [node for node in graph if node.output in self.groups and not node.op.border]
        grids = {group.members[0]: group.fixed or _grid(group.range) for group in groups}
        self._wanted = {name: Fraction(scale) for name, (scale, _) in grids.items()}
        self._zero_points = {name: zero_point for name, (_, zero_point) in grids.items()}
        self._scales: dict[str, Fraction] = {}  # those that are fixed
        self.constant_params: dict[str, QuantParams] = {}
        self.ratios: dict[str, Ratio] = {}
        self.constants: dict[str, NDArray[Any]] = {}

    def group(self, tensor: str) -> Group:
        """The group that ``tensor`` belongs to."""
        return self.groups[tensor]

    def wanted(self, tensor: str) -> Fraction:
        """The scale that it would have if nothing else mattered."""
        return self._wanted[self.groups[tensor].members[0]]

    def is_fixed(self, tensor: str) -> bool:
        """Whether its scale is fixed already."""
        return self.groups[tensor].members[0] in self._scales

    def fix(self, tensor: str) -> Fraction:
        """The scale of ``tensor``, from now on unchangeable."""
        return self._scales.setdefault(self.groups[tensor].members[0], self.wanted(tensor))

    def settle(self, tensor: str, scale: Fraction) -> None:
        """Give ``tensor``, which is not fixed, its scale."""
        self._scales[self.groups[tensor].members[0]] = scale

    def claim_result(self, node: Node) -> None:
        """Make sure that the scale of the result is still free, and stays so when those of the operands are fixed.

        Raises:
            NoCommonScaleError: it is shared with a tensor whose scale is fixed, or with an operand.
        """
        members = self.group(node.output).members
        if self.is_fixed(node.output) or not set(members).isdisjoint(self.graph.activations(node)):
            movers = [n.name for n in self.graph.consumers(node.output) if n.op.moves_values and n.output in members]
            raise NoCommonScaleError(node.output, movers)

    def zero_point(self, tensor: str) -> int:
        """The zero point of ``tensor``, which is never moved."""
        return self._zero_points[self.groups[tensor].members[0]]

    def params_of(self, tensor: str) -> QuantParams:
        """The parameters of ``tensor``, whose scale is fixed by that."""
        return QuantParams(np.array([float(self.fix(tensor))], np.float32), self.zero_point(tensor))

    def params(self) -> dict[str, QuantParams]:
        """The parameters of every quantized tensor and int8 constant."""
        return {name: self.params_of(name) for name in self.groups} | self.constant_params

    def ratio(
        self, node: Node, wanted: NDArray[np.float64], limit: int, *, tolerance: float = SCALE_TOLERANCE
    ) -> Ratio:
        """The tie-free ratios of ``node`` nearest to those wanted."""
        ratio = self.ratios[node.name] = odd_fractions(wanted, tolerance, limit)
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

    def largest_weight(self, node: Node) -> int:
        """What the largest weight of each channel of ``node`` is stored as.

        Where all of a window are the same, as those of an average pool, that is 1: nothing is rounded, the scale says
        all of it, and sums stay as small as they can be (``edgekit.float_sums``).
        """
        return 1 if is_uniform(self.graph.constants[node.operand("weight")]) else self.weight_limit

    def constant_factor(self, node: Node) -> str | None:
        """The constant that a MUL multiplies by; None of anything else."""
        constants = [name for name in node.inputs if name in self.graph.constants]
        return constants[0] if constants and not (node.op.has_weights or node.op.has_ratio_per_operand) else None

    def constant_step(self, constant: str) -> Fraction:
        """The scale of an operand that is constant, if nothing else mattered.

        A number that a MUL multiplies by is stored as 1 or -1. Of an array the largest is stored as that of 64 to 127
        which the others fit best: 1, 1.5 and 2.25, as borders of averages are corrected by, are all exact with 117.
        """
        values = np.unique(np.abs(self.graph.constants[constant].astype(np.float64)))
        largest = values[-1] or 1.0
        if self.graph.constants[constant].size == 1:
            return Fraction(largest)
        best = min(range(WEIGHT_MAX, WEIGHT_MAX // 2, -1), key=lambda n: _off(values * (n / largest)) / n)
        return Fraction(largest) / best

    def raise_to(self, tensor: str, scale: Fraction) -> None:
        """Raise a wanted scale, but not so far that its range exceeds a clamp; what is fixed stays."""
        group = self.groups[tensor]
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


def _off(steps: NDArray[np.float64]) -> float:
    """How far numbers are from integers, root mean square, but for rounding errors."""
    return float(np.sqrt(np.square(steps - np.rint(steps)).mean()).round(6))


def _grid(found: Range) -> Grid:
    """Scale and zero point for a range, at least ``MIN_RANGE``."""
    low, high = found.low, found.high
    if high - low < MIN_RANGE:
        low, high = (low, low + MIN_RANGE) if high >= -low else (high - MIN_RANGE, high)
    return activation_params(low, high)
