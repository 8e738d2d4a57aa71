"""Causes that a layer is computed again for: padding on the other side, a transposed kernel, another zero point."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.ir import Padding
from edgekit.quantization import INT8_MIN
from edgekit.verification.cases import Case, Cause, Finding, FloatLayer, IntegerLayer, Variant, at_border_only

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


def _recomputed(case: Case, hypotheses: Iterator[tuple[Variant, str]], cause: Cause) -> Finding | None:
    """The first of some hypotheses that foretells what was found."""
    if case.layer is None:
        return None
    for variant, words in hypotheses:
        if case.foretold(case.layer.compute(variant)):
            return Finding(cause, words)
    return None


def padding(case: Case) -> Finding | None:
    """The same number of rows and columns of zeros, on other sides."""

    def hypotheses() -> Iterator[tuple[Variant, str]]:
        assert case.layer is not None
        op = case.layer.node.op
        if op.window is None or not op.window.padding:
            return
        p = op.window.padding
        rows, columns = p.top + p.bottom, p.left + p.right
        for top, left in itertools.product(range(rows + 1), range(columns + 1)):
            other = Padding(top, rows - top, left, columns - left)
            if other != p and (rows != columns or top == left):
                words = f"it pads ({_sides(other)}) instead of ({_sides(p)}): top, bottom, left, right"
                yield Variant(op=op.with_padding(other)), words

    return _recomputed(case, hypotheses(), Cause.PADDING)


def padding_with(case: Case) -> Finding | None:
    """Another number than zero around the picture."""
    layer = case.layer
    if layer is None or not at_border_only(case.differs(case.exact), layer.node, layer.graph):
        return None
    op, (name,) = layer.node.op, layer.inputs
    assert op.window is not None, "it has a border"
    p, usual = op.window.padding, layer.model.params[name].zero_point if isinstance(layer, IntegerLayer) else 0
    widths = ((0, 0), (0, 0), (p.top, p.bottom), (p.left, p.right))
    x = layer.inputs[name].astype(np.float64)
    around = np.pad(x, widths, constant_values=usual + 1)
    step = layer.compute(Variant(op=op.with_padding(Padding()), inputs={name: around})) - case.exact
    inside = case.inside & (step != 0)
    if not inside.any():
        return None
    more = float(step[inside] @ (case.found[inside] - case.exact[inside]) / (step[inside] @ step[inside]))
    more = round(more) if isinstance(layer, IntegerLayer) else more
    if not case.foretold(case.exact + more * step):
        return None
    return Finding(Cause.PADDING, f"it pads with {usual + more:g} instead of {usual}")


def kernel_layout(case: Case) -> Finding | None:
    """The weights, read in another order of axes or channels."""

    def hypotheses() -> Iterator[tuple[Variant, str]]:
        assert case.layer is not None
        node, constants = case.layer.node, case.layer.graph.constants
        if not node.op.has_weights:
            return
        name = node.operand("weight")
        weight = constants[name]
        for words, other in _other_layouts(weight):
            if other.shape == weight.shape and not np.array_equal(other, weight):
                yield Variant(constants={name: other}), words

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


def channels_of_weights(case: Case) -> Finding | None:
    """The weights of some channels in the place of others'; scales and biases stay where they are."""

    def hypotheses() -> Iterator[tuple[Variant, str]]:
        assert case.layer is not None
        node, channels = case.layer.node, case.channels
        if not node.op.has_weights:
            return
        name = node.operand("weight")
        weight = case.layer.graph.constants[name]
        if len(channels) == 2:
            swapped = weight.copy()
            swapped[channels] = weight[channels[::-1]]
            words = f"the weights of output channels {channels[0]} and {channels[1]} are exchanged"
            yield Variant(constants={name: swapped}), words
        yield Variant(constants={name: weight[::-1]}), "the weights' output channels are in reverse order"
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


def zero_point_of_input(case: Case) -> Finding | None:
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


def no_bias(case: Case) -> Finding | None:
    """The bias is not added."""

    def hypotheses() -> Iterator[tuple[Variant, str]]:
        assert case.layer is not None
        node = case.layer.node
        if node.op.has_weights:
            bias = node.operand("bias")
            nothing = np.zeros_like(case.layer.graph.constants[bias])
            yield Variant(constants={bias: nothing}), "its bias is not added"

    return _recomputed(case, hypotheses(), Cause.BIAS)


def no_clamp(case: Case) -> Finding | None:
    """The fused clamp of a float layer is missing; that of an integer layer is its output's range."""
    clamp = case.layer.node.activation if isinstance(case.layer, FloatLayer) else None
    if clamp is None or replace(case, limits=(-np.inf, np.inf)).differs(case.exact).any():
        return None
    return Finding(Cause.CLAMP, f"its clamp to [{clamp.low:g}, {clamp.high:g}] is missing")


def _sides(padding: Padding) -> str:
    return f"{padding.top}, {padding.bottom}, {padding.left}, {padding.right}"
