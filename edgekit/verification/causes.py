"""Why a layer gives other values than it has to: hypotheses, each of which has to foretell all values that were found.

The inputs of the first layer in which two networks part are the same on both sides. So the layer can be computed again
under each hypothesis (its padding lies on the other side, its kernel is transposed, …), and the one whose values are
those that were found is the cause. Where no recomputation can say it, the values themselves do: a constant offset, a
factor, one limit in the place of many values, channels in another order, differences at the border alone.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from edgekit.ir import Add, Conv2d, Graph, Linear, Op, Padding
from edgekit.quantization import INT8_MAX, INT8_MIN
from edgekit.reference import float as float_reference
from edgekit.reference.integer import Reference
from edgekit.runtimes.tracing import factor_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from edgekit.integer_model import IntegerModel
    from edgekit.ir import Node

    Finder = Callable[["Case"], "Finding | None"]
    Limits = tuple[Any, Any]  # two numbers, or two arrays that broadcast to [N, C, H, W] or [N, C]

# A hypothesis may miss so many of the values that differ, and a fitted number, which is not exact, so many: a kernel
# that rounds some values otherwise shall not hide a wrong scale.
_MISSED: Final = 0.01
_MISSED_BY_FIT: Final = 0.05
# How near to a tie a value has to lie for a sound kernel to round it otherwise. Kernels that round twice shift the
# accumulator by k bits after a first rounding, which may be off by 2**-(k + 1); the ratio lies between that and twice
# that. Source: MultiplyByQuantizedMultiplier in tflite/kernels/internal/common.cc.
_NEAR_TIE: Final = 2**-6
_FAR_FROM_TIE: Final = 2**-2
_ENOUGH: Final = 16  # values to fit a slope and an offset to


class Cause(StrEnum):
    """What is likely wrong."""

    MISSING = "missing layer"
    SHAPE = "shape"
    TYPE = "type"
    ROUNDING = "rounding"
    KERNEL = "kernel"
    SCALE = "scale"
    ZERO_POINT = "zero point"
    BIAS = "bias"
    CLAMP = "clamp"
    PADDING = "padding"
    LAYOUT = "layout"
    CHANNEL_ORDER = "channel order"
    WEIGHTS = "weights"
    BOUNDARY = "boundary"


@dataclass(frozen=True, slots=True)
class Finding:
    """A cause, and what it follows from.

    Attributes:
        cause: the likely one.
        explanation: what was seen, in words.
    """

    cause: Cause
    explanation: str


@dataclass(frozen=True, slots=True)
class Variant:
    """How a layer is computed otherwise; what is left out is as it has to be.

    Attributes:
        op: the operator with other attributes.
        constants: other weights and biases by name.
        inputs: other values of the tensors that it reads, by name.
        zero_points: of these tensors, by name.
    """

    op: Op | None = None
    constants: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    inputs: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    zero_points: Mapping[str, int] = field(default_factory=dict)


class Layer(Protocol):
    """A layer that can be computed again."""

    @property
    def node(self) -> Node:
        """What it computes."""
        ...

    @property
    def graph(self) -> Graph:
        """Of which it is a node."""
        ...

    @property
    def inputs(self) -> Mapping[str, NDArray[Any]]:
        """The tensors that it reads, by name."""
        ...

    @property
    def limits(self) -> Limits:
        """Of what it gives."""
        ...

    def compute(self, variant: Variant) -> NDArray[np.float64]:
        """What it gives, before that is rounded and limited: stored integers or reals."""
        ...


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class IntegerLayer:
    """A layer of an integer model, with stored inputs."""

    model: IntegerModel
    node: Node
    inputs: Mapping[str, NDArray[Any]]

    @property
    def graph(self) -> Graph:
        """Of which it is a node."""
        return self.model.graph

    @property
    def limits(self) -> Limits:
        """Of stored integers. A fused clamp is nothing else."""
        return INT8_MIN, INT8_MAX

    def compute(self, variant: Variant) -> NDArray[np.float64]:
        """Stored integers before they are rounded and saturated."""
        node = replace(self.node, op=variant.op or self.node.op)
        constants = {name: self.graph.constants[name] for name in node.inputs if name in self.graph.constants}
        constants |= variant.constants
        moved = {name: replace(self.model.params[name], zero_point=zp) for name, zp in variant.zero_points.items()}
        alone = replace(self.graph, nodes=(node,), constants=constants)
        reference = _Unrounded(replace(self.model, graph=alone, params={**self.model.params, **moved}))
        values = {**self.inputs, **variant.inputs, **constants}
        return reference.compute(node, [values[name] for name in node.inputs]).astype(np.float64)


class _Unrounded(Reference):
    """The reference before it rounds."""

    def round(
        self,
        total: NDArray[np.floating],
        numerator: NDArray[np.int64],
        denominator: NDArray[np.int64],
        zero_point: int,
    ) -> NDArray[np.float64]:
        """What ``requantize`` rounds, with the zero point."""
        unrounded: NDArray[np.float64] = np.multiply(total, numerator / denominator, dtype=np.float64) + zero_point
        return unrounded


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class FloatLayer:
    """A layer of a float graph; its inputs and its output are without the factors that their tensors carry."""

    graph: Graph
    node: Node
    inputs: Mapping[str, NDArray[Any]]

    @property
    def limits(self) -> Limits:
        """The fused clamp."""
        clamp, factor = self.node.activation, factor_of(self.graph.tensors[self.node.output])
        return (-np.inf, np.inf) if clamp is None else (clamp.low / factor, clamp.high / factor)

    def compute(self, variant: Variant) -> NDArray[np.float64]:
        """Reals, as the checkpoint computes them, before they are clamped."""
        node, graph = replace(self.node, op=variant.op or self.node.op, activation=None), self.graph
        reals = {
            name: values.astype(np.float64) * factor_of(graph.tensors[name])
            for name, values in {**self.inputs, **variant.inputs}.items()
        }
        constants = {name: array.astype(np.float64) for name, array in {**graph.constants, **variant.constants}.items()}
        values = [reals[name] if name in reals else constants[name] for name in node.inputs]
        return float_reference.compute(node, values) / factor_of(graph.tensors[node.output])


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Case:
    """A layer that gives other values than it has to.

    Attributes:
        found: what it gives, [N, C, H, W] or [N, C]: stored integers or reals.
        exact: what it has to give, likewise, before that is rounded and limited, where that is known.
        layer: to compute it again; None where its inputs or its operator are not known.
        zero_point: of stored integers; None of reals.
        tolerance: of reals, by how much they may differ, relative to the largest one.
        limits: of what it gives: those of the integers' type, or of a clamp.
    """

    found: NDArray[Any]
    exact: NDArray[Any]
    layer: Layer | None
    zero_point: int | None
    tolerance: float
    limits: Limits

    def rounded(self, exact: NDArray[np.floating]) -> NDArray[Any]:
        """What a layer gives for what it computes."""
        rounded: NDArray[Any] = np.clip(exact if self.zero_point is None else np.rint(exact), *self.limits)
        return rounded

    def differs(self, exact: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Where ``exact`` does not foretell what was found."""
        expected = self.rounded(exact)
        off = np.abs(self.found.astype(np.float64) - expected)
        allowed = 0.0 if self.zero_point is not None else self.tolerance * float(np.abs(expected).max(initial=0.0))
        differs: NDArray[np.bool_] = ~(off <= allowed)  # NaN differs from everything
        return differs

    @property
    def expected(self) -> NDArray[Any]:
        """What it has to give."""
        return self.rounded(self.exact)

    def foretold(self, exact: NDArray[np.floating], missed: float = _MISSED) -> bool:
        """Whether a hypothesis foretells what was found, all of it or nearly."""
        if exact.shape != self.found.shape:
            return False
        return bool(self.differs(exact).sum() <= missed * self.differs(self.exact).sum())


def explain(case: Case) -> Finding:
    """The likely cause of the differences, the most specific one that foretells them."""
    return next(finding for finder in _FINDERS if (finding := finder(case)) is not None)


# --- the layer computed again ---------------------------------------------------------------------------------------


def _recomputed(case: Case, hypotheses: Iterator[tuple[Variant, str]], cause: Cause) -> Finding | None:
    """The first of some hypotheses that foretells what was found."""
    if case.layer is None:
        return None
    for variant, words in hypotheses:
        if case.foretold(case.layer.compute(variant)):
            return Finding(cause, words)
    return None


def _padding(case: Case) -> Finding | None:
    """The same number of rows and columns of zeros, on other sides."""

    def hypotheses() -> Iterator[tuple[Variant, str]]:
        assert case.layer is not None
        op = case.layer.node.op
        if not isinstance(op, Conv2d) or not op.padding:
            return
        p = op.padding
        rows, columns = p.top + p.bottom, p.left + p.right
        for top, left in itertools.product(range(rows + 1), range(columns + 1)):
            other = Padding(top, rows - top, left, columns - left)
            if other != p and (rows != columns or top == left):
                words = f"it pads ({_sides(other)}) instead of ({_sides(p)}): top, bottom, left, right"
                yield Variant(op=replace(op, padding=other)), words

    return _recomputed(case, hypotheses(), Cause.PADDING)


def _kernel_layout(case: Case) -> Finding | None:
    """The weights, read in another order of axes or channels."""

    def hypotheses() -> Iterator[tuple[Variant, str]]:
        assert case.layer is not None
        node, constants = case.layer.node, case.layer.graph.constants
        if not isinstance(node.op, Conv2d | Linear):
            return
        weight = constants[node.inputs[1]]
        for words, other in _other_layouts(weight):
            if other.shape == weight.shape and not np.array_equal(other, weight):
                yield Variant(constants={node.inputs[1]: other}), words

    return _recomputed(case, hypotheses(), Cause.LAYOUT)


def _other_layouts(weight: NDArray[Any]) -> Iterator[tuple[str, NDArray[Any]]]:
    """What the bytes of a weight [O, I, kH, kW] or [O, I] become for a reader who takes the axes for others."""
    yield "its input and output channels are exchanged", weight.swapaxes(0, 1)
    if weight.ndim == 4:
        yield "its kernel is transposed: rows are columns", weight.swapaxes(2, 3)
        yield "its kernel is turned around: a convolution where a correlation is meant", weight[:, :, ::-1, ::-1]
        o, i, h, w = weight.shape
        yield "its weights are read as [O, kH, kW, I]", weight.reshape(o, h, w, i).transpose(0, 3, 1, 2)
        yield "its weights are read as [O, I, kH, kW]", weight.transpose(0, 2, 3, 1).reshape(o, i, h, w)
        yield "its weights are read as [kH, kW, I, O]", weight.reshape(h, w, i, o).transpose(3, 2, 0, 1)


def _channels_of_weights(case: Case) -> Finding | None:
    """The weights of some channels in the place of others'; scales and biases stay where they are."""

    def hypotheses() -> Iterator[tuple[Variant, str]]:
        assert case.layer is not None
        node, channels = case.layer.node, _channels(case)
        if not isinstance(node.op, Conv2d | Linear):
            return
        weight = case.layer.graph.constants[node.inputs[1]]
        if len(channels) == 2:
            swapped = weight.copy()
            swapped[channels] = weight[channels[::-1]]
            words = f"the weights of output channels {channels[0]} and {channels[1]} are exchanged"
            yield Variant(constants={node.inputs[1]: swapped}), words
        yield Variant(constants={node.inputs[1]: weight[::-1]}), "the weights' output channels are in reverse order"
        (x,) = case.layer.inputs
        inputs = case.layer.inputs[x].shape[1]
        orders = itertools.permutations(range(3)) if inputs == 3 else [tuple(reversed(range(inputs)))]
        for order in orders:
            if list(order) != sorted(order):
                shown = (
                    "BGR for RGB"
                    if order == (2, 1, 0)
                    else "in reverse order"
                    if inputs != 3
                    else f"in the order {order}"
                )
                yield Variant(inputs={x: case.layer.inputs[x][:, list(order)]}), f"its input channels are read {shown}"

    return _recomputed(case, hypotheses(), Cause.CHANNEL_ORDER)


def _zero_point_of_input(case: Case) -> Finding | None:
    """Another zero point of a tensor that the layer reads."""

    def hypotheses() -> Iterator[tuple[Variant, str]]:
        if not isinstance(case.layer, IntegerLayer):
            return
        for tensor in case.layer.inputs:
            there = case.layer.model.params[tensor].zero_point
            for other in dict.fromkeys((there - 1, there + 1, there - 2, there + 2, 0, INT8_MIN, there + 128)):
                if other != there:
                    words = f"it reads {tensor} with the zero point {other} instead of {there}"
                    yield Variant(zero_points={tensor: other}), words

    return _recomputed(case, hypotheses(), Cause.ZERO_POINT)


def _no_bias(case: Case) -> Finding | None:
    """The bias is not added."""

    def hypotheses() -> Iterator[tuple[Variant, str]]:
        assert case.layer is not None
        node = case.layer.node
        if isinstance(node.op, Conv2d | Linear):
            bias = case.layer.graph.constants[node.inputs[2]]
            yield Variant(constants={node.inputs[2]: np.zeros_like(bias)}), "its bias is not added"

    return _recomputed(case, hypotheses(), Cause.BIAS)


def _no_clamp(case: Case) -> Finding | None:
    """The fused clamp of a float layer is missing; that of an integer layer is its output's range."""
    clamp = case.layer.node.activation if isinstance(case.layer, FloatLayer) else None
    if clamp is None or replace(case, limits=(-np.inf, np.inf)).differs(case.exact).any():
        return None
    return Finding(Cause.CLAMP, f"its clamp to [{clamp.low:g}, {clamp.high:g}] is missing")


# --- what the values say --------------------------------------------------------------------------------------------


def _zero_point(case: Case) -> Finding | None:
    """The same number of steps more or less everywhere."""
    inside = _inside(case)
    if case.zero_point is None or not inside.any():
        return None
    off = int(np.median(case.found[inside] - case.expected[inside]))
    if not off or not case.foretold(np.rint(case.exact) + off):
        return None
    return Finding(Cause.ZERO_POINT, f"every value is off by {off:+d} LSB, and so is its zero point")


def _clamp(case: Case) -> Finding | None:
    """One side has its lowest or highest value wherever they differ, and often."""
    differs, expected, found = case.differs(case.exact), case.expected, case.found
    for name, one, other in (("missing", expected, found), ("too narrow", found, expected)):
        low, high = one.min(), one.max()
        ends = [end for end in (low, high) if (one[differs] == end).any()]
        beyond = (other[differs] < low) | (other[differs] > high)
        if np.isin(one[differs], ends).all() and beyond.all() and all((one == end).sum() >= _ENOUGH for end in ends):
            limits = " and ".join(f"{end:g}" for end in ends)
            explanation = f"only values that are {limits} on the one side go beyond on the other: its clamp is {name}"
            return Finding(Cause.CLAMP, explanation)
    return None


def _channel_order(case: Case) -> Finding | None:
    """The channels that differ are the same ones, in another order."""
    channels = _channels(case)
    if len(channels) < 2:
        return None
    here, there = (
        np.moveaxis(values, 1, 0)[channels].reshape(len(channels), -1) for values in (case.found, case.expected)
    )
    # A sum with random weights tells channels apart; sorting finds the pairs without comparing each with each.
    weights = np.random.default_rng(0).normal(size=here.shape[1])
    places, sources = np.argsort(here @ weights, kind="stable"), np.argsort(there @ weights, kind="stable")
    reordered = case.exact.copy()
    reordered[:, channels[places]] = case.exact[:, channels[sources]]
    if not case.foretold(reordered):
        return None
    order = dict(zip(channels[places].tolist(), channels[sources].tolist(), strict=True))
    shown = ", ".join(f"{source} at {place}" for place, source in sorted(order.items())[:4])
    return Finding(Cause.CHANNEL_ORDER, f"its channels are in another order: {shown}{', …' if len(order) > 4 else ''}")


def _rows_and_columns(case: Case) -> Finding | None:
    """Feature maps that are transposed or mirrored."""
    if case.exact.ndim != 4:
        return None
    ways = {
        "rows and columns are exchanged": case.exact.swapaxes(2, 3),
        "it is upside down": case.exact[:, :, ::-1],
        "left and right are exchanged": case.exact[:, :, :, ::-1],
    }
    return next((Finding(Cause.LAYOUT, words) for words, other in ways.items() if case.foretold(other)), None)


def _border(case: Case) -> Finding | None:
    """Only values whose kernel reaches into the padding differ."""
    if case.layer is None or not at_border_only(case.differs(case.exact), case.layer.node, case.layer.graph):
        return None
    return Finding(
        Cause.PADDING,
        "only values at the border differ, whose kernel reaches into the padding: it pads with something else",
    )


def _scale(case: Case) -> Finding | None:
    """A factor of the whole tensor, or of one operand."""
    inside, zero_point = _inside(case), case.zero_point or 0
    if inside.sum() < _ENOUGH:
        return None
    x, y = (values[inside].astype(np.float64) - zero_point for values in (case.exact, case.found))
    if not x.any():
        return None
    slope = float(x @ y / (x @ x))
    if case.foretold((case.exact - zero_point) * slope + zero_point, _MISSED_BY_FIT):
        return Finding(
            Cause.SCALE,
            f"every value is {slope:.3g} times what it has to be: its scale seems {1 / slope:.3g} times the right one",
        )
    return _scale_of_operand(case, inside)


def _scale_of_operand(case: Case, inside: NDArray[np.bool_]) -> Finding | None:
    """A factor of one of the two tensors that an ADD reads."""
    layer, zero_point = case.layer, case.zero_point or 0
    if layer is None or not isinstance(layer.node.op, Add) or len(layer.inputs) != 2:
        return None
    nothing = {name: np.zeros_like(values) for name, values in layer.inputs.items()}
    if isinstance(layer, IntegerLayer):
        nothing = {name: values + np.int8(layer.model.params[name].zero_point) for name, values in nothing.items()}
    names = tuple(layer.inputs)
    terms = [layer.compute(Variant(inputs={other: nothing[other]})) - zero_point for other in names[::-1]]
    slopes, *_ = np.linalg.lstsq(
        np.stack([term[inside] for term in terms], 1), case.found[inside].astype(np.float64) - zero_point
    )
    if not case.foretold(sum(s * term for s, term in zip(slopes, terms, strict=True)) + zero_point, _MISSED_BY_FIT):
        return None
    slope, name = max(zip(slopes, names, strict=True), key=lambda pair: abs(pair[0] - 1))
    return Finding(
        Cause.SCALE, f"{name} counts {slope:.3g} times as much as it has to: its scale is wrong by that factor"
    )


def _scales_of_channels(case: Case) -> Finding | None:
    """A factor and an offset of each channel."""
    zero_point = case.zero_point or 0
    x, y, inside = (
        np.moveaxis(values, 1, 0).reshape(values.shape[1], -1)
        for values in (case.exact - zero_point, case.found.astype(np.float64) - zero_point, _inside(case))
    )
    # Of a value: rounding is evenly distributed over one step; reals are off by the tolerance at most.
    error = 1 / np.sqrt(12) if case.zero_point is not None else case.tolerance * float(np.abs(x).max())
    slopes, offsets = np.ones(len(x)), np.zeros(len(x))
    for channel in _channels(case):
        xs, ys = x[channel, inside[channel]], y[channel, inside[channel]]
        if len(xs) < _ENOUGH or np.ptp(xs) == 0:
            return None
        centred = xs - xs.mean()
        slope = float(centred @ ys / (centred @ centred))
        # What is within five standard errors of 1 is 1.
        slopes[channel] = 1.0 if abs(slope - 1) < 5 * error / np.sqrt(centred @ centred) else slope
        offsets[channel] = (ys - slopes[channel] * xs).mean()
    shape = (-1, *[1] * (case.exact.ndim - 2))
    fitted = (case.exact - zero_point) * slopes.reshape(shape) + offsets.reshape(shape) + zero_point
    if not case.foretold(fitted, _MISSED_BY_FIT):
        return None
    scaled, moved = np.flatnonzero(slopes != 1), np.flatnonzero((slopes == 1) & (offsets != 0))
    if len(scaled):
        words = f"{_some(scaled, len(x))} {slopes[scaled[0]]:.3g} times as steep as they have to be"
        return Finding(Cause.SCALE, f"{words}: the scales of their weights are wrong")
    if case.zero_point is not None and np.allclose(offsets[moved], -0.5, atol=0.05):
        return Finding(Cause.ROUNDING, "every value is rounded down instead of to the nearest integer")
    words = f"{_some(moved, len(x))} off by {offsets[moved[0]]:+.3g}"
    return Finding(Cause.BIAS, f"{words}{' and so on' if len(moved) > 1 else ''}: their biases are wrong")


def _rounding(case: Case) -> Finding | None:
    """One step more or less, where the exact value lies next to a tie."""
    if not isinstance(case.layer, IntegerLayer):
        return None
    differs = case.differs(case.exact)
    exact = case.exact[differs]
    if np.abs(case.found[differs] - case.expected[differs]).max() > 1:
        return None
    distance = np.abs(np.abs(exact - np.trunc(exact)) - 0.5)
    if (distance > _near_tie(case)[differs]).any():
        return None
    share = differs.mean()
    return Finding(
        Cause.ROUNDING,
        f"1 LSB in {share:.2%} of the values, each of which lies within {distance.max():.2g} of a tie before it is "
        f"rounded: the kernel is off by so much, or rounds twice",
    )


def _single_channels(case: Case) -> Finding | None:
    """Only some channels differ."""
    channels, total = _channels(case), case.exact.shape[1]
    if 2 * len(channels) > total:
        return None
    return Finding(Cause.WEIGHTS, f"only {_some(channels, total)} different: their weights, biases or scales are wrong")


def _anything(_: Case) -> Finding:
    return Finding(
        Cause.KERNEL, "no single fault explains it: the weights are others, or the kernel computes something else"
    )


# From those that foretell every value exactly to those that only say where they differ.
_FINDERS: tuple[Finder, ...] = (
    *(_padding, _kernel_layout, _channels_of_weights, _no_bias, _no_clamp, _zero_point, _zero_point_of_input),
    *(_rounding, _channel_order, _rows_and_columns, _clamp, _border, _scale, _scales_of_channels, _single_channels),
    _anything,
)


# --- where ----------------------------------------------------------------------------------------------------------


def at_border_only(differs: NDArray[np.bool_], node: Node, graph: Graph) -> bool:
    """Whether only those outputs [N, C, H, W] of a convolution differ that it computes with the help of padding."""
    if not isinstance(node.op, Conv2d) or not node.op.padding or differs.ndim != 4:
        return False
    p, (rows, columns) = node.op.padding, graph.tensors[node.inputs[0]].shape[1:]
    kernel = graph.constants[node.inputs[1]].shape[2:]
    sides = zip(differs.shape[2:], node.op.stride, kernel, ((p.top, rows), (p.left, columns)), strict=True)
    inner = [_without_padding(count, stride, size, *side) for count, stride, size, side in sides]
    return bool(differs.any()) and not differs[:, :, inner[0][:, None] & inner[1]].any()


def _without_padding(count: int, stride: int, kernel: int, before: int, size: int) -> NDArray[np.bool_]:
    """Which of ``count`` outputs along an axis read nothing but its input, which has ``before`` zeros in front."""
    first = np.arange(count) * stride - before
    inside: NDArray[np.bool_] = (first >= 0) & (first + kernel <= size)
    return inside


def _near_tie(case: Case) -> NDArray[np.float64]:
    """How near to a tie a sound kernel may round otherwise, for every value."""
    assert isinstance(case.layer, IntegerLayer)
    ratio = case.layer.model.ratios.get(case.layer.node.name)
    largest = np.ones(1) * _NEAR_TIE if ratio is None else np.clip(ratio.value, _NEAR_TIE, _FAR_FROM_TIE)
    if len(largest) != case.exact.shape[1]:
        largest = largest.max()[None]
    return np.broadcast_to(largest.reshape(-1, *[1] * (case.exact.ndim - 2)), case.exact.shape)


def _channels(case: Case) -> NDArray[np.intp]:
    """The channels that differ."""
    return np.flatnonzero(case.differs(case.exact).any(tuple(axis for axis in range(case.found.ndim) if axis != 1)))


def _inside(case: Case) -> NDArray[np.bool_]:
    """Where neither side has reached a limit, so that the values say what they were computed from."""
    low, high = case.limits
    inside: NDArray[np.bool_] = (case.found > low) & (case.found < high) & (case.exact > low) & (case.exact < high)
    return inside


def _sides(padding: Padding) -> str:
    return f"{padding.top}, {padding.bottom}, {padding.left}, {padding.right}"


def _some(channels: NDArray[np.intp], total: int) -> str:
    """Channels for people, as the beginning of a sentence about them."""
    if len(channels) == total:
        return f"all {total} channels are"
    shown = ", ".join(map(str, channels[:4]))
    return f"{len(channels)} of {total} channels ({shown}{', …' if len(channels) > 4 else ''}) are"
