"""A layer that gives other values than it has to, with what is known of it; what a likely cause is.

The inputs of the first layer in which two networks part are the same on both sides, so that the layer can be computed
again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from edgekit.quantization import INT8_MAX, INT8_MIN
from edgekit.reference import float as float_reference
from edgekit.reference.integer import Reference
from edgekit.runtimes.tracing import factor_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edgekit.integer_model import IntegerModel
    from edgekit.ir import Graph, Node, Op

    Limits = tuple[Any, Any]  # two numbers, or two arrays that broadcast to [N, C, H, W] or [N, C]

NEAR_TIE: Final = 2**-6  # how near to a tie a value may lie, in steps, that a sound kernel rounds otherwise


class Cause(StrEnum):
    """What is likely wrong."""

    MISSING = "missing layer"
    SHAPE = "shape"
    TYPE = "type"
    ROUNDING = "rounding"
    SCALE = "scale"
    ZERO_POINT = "zero point"
    BIAS = "bias"
    CLAMP = "clamp"
    PADDING = "padding"
    LAYOUT = "layout"
    CHANNEL_ORDER = "channel order"
    CHOICE = "choice of classes"
    BOUNDARY = "boundary"
    UNKNOWN = "unknown"


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

    def foretold(self, exact: NDArray[np.floating], error: float | NDArray[np.floating] = NEAR_TIE) -> bool:
        """Whether a hypothesis foretells every value that was found.

        Args:
            exact: what the layer gives under it, before that is rounded and limited.
            error: by how much that may be off, in steps of stored integers: rounding turns out otherwise next to ties.
        """
        if exact.shape != self.found.shape:
            return False
        if self.zero_point is None:
            return not self.differs(exact).any()
        off = np.abs(self.found - np.clip(exact, *self.limits))
        return bool((off <= 0.5 + error).all())

    @property
    def channels(self) -> NDArray[np.intp]:
        """The channels that differ."""
        return np.flatnonzero(self.differs(self.exact).any(tuple(axis for axis in range(self.found.ndim) if axis != 1)))

    @property
    def inside(self) -> NDArray[np.bool_]:
        """Where neither side has reached a limit, so that the values say what they were computed from."""
        (low, high), found, exact = self.limits, self.found, self.exact
        inside: NDArray[np.bool_] = (found > low) & (found < high) & (exact > low) & (exact < high)
        return inside


def at_border_only(differs: NDArray[np.bool_], node: Node, graph: Graph) -> bool:
    """Whether only those outputs [N, C, H, W] of a convolution differ that it computes with the help of padding."""
    window = node.op.window
    if window is None or not window.padding or differs.ndim != 4:
        return False
    x, weight = node.read("x", "weight")
    p, size = window.padding, graph.tensors[x].shape[1:]
    places = window.places(size, graph.constants[weight].shape[2:])
    inner = [_without_padding(*axis) for axis in zip(places, (p.top, p.left), size, strict=True)]
    return bool(differs.any()) and not differs[:, :, inner[0][:, None] & inner[1]].any()


def _without_padding(places: NDArray[np.intp], before: int, size: int) -> NDArray[np.bool_]:
    """Which results along an axis read nothing but the input, which has ``before`` zeros in front; places [N, k]."""
    inside: NDArray[np.bool_] = np.all((places >= before) & (places < before + size), axis=1)
    return inside
