"""What an ONNX file does to pixels before its first layer: arithmetic, another order of colours. It is taken off.

edgekit's files take what the network behind it takes, or the pixels themselves; what is taken off here goes into the
preprocessing, which every file states.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.conventions import ORDERS, USUAL_ORDER, orders_of
from edgekit.errors import UnsupportedOperator
from edgekit.ir import Add, BatchNorm, Conv2d, Graph, Mul, Node
from edgekit.passes.matching import Pattern

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.capture.onnx_file import OnnxFile

_SUM, _PRODUCT, _NORM, _CONVOLUTION = Pattern(Add), Pattern(Mul), Pattern(BatchNorm), Pattern(Conv2d)
_LEVELS = 255.0
# What batch normalization of 8-bit pixels remembers of photographs, on a 0..1 scale: anything else is no such input.
_MEANS, _STDS = (0.2, 0.8), (0.08, 0.5)
# From black to white, as networks take it: 1 for 0 to 1, 2 for -1 to 1, 4.5 for ImageNet's std; or all 255 levels.
_SPANS = (0.9, 8.0)


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """What a file computes of its input: (x - mean) / std.

    Attributes:
        mean: of each channel, in the units of the file's input.
        std: of each channel, likewise; above 0.
        unit: what the brightest pixel is in these units, 1 or 255; None where the input is no pixels, but what some
            normalization outside of the file makes of them.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    unit: float | None


@dataclass(frozen=True, slots=True)
class Head:
    """A graph from its first layer on, and what stood before.

    Attributes:
        graph: from the first layer on.
        arithmetic: on the input; None where there is none.
        order: of the channels that ``graph`` takes, where the file takes them in the usual one and exchanges them.
        notes: what was left out, for people.
    """

    graph: Graph
    arithmetic: Arithmetic | None
    order: str | None
    notes: tuple[str, ...]


def without_head(graph: Graph, file: OnnxFile) -> Head:
    """``graph`` without its arithmetic on the input.

    Raises:
        UnsupportedOperator: it multiplies a channel by 0, or turns the sign of what is no convolution's input.
    """
    found = _Found(graph.tensors[graph.input].shape[0])
    while len(readers := graph.consumers(graph.input)) == 1 and readers[0].output not in graph.output_tensors:
        (node,) = readers
        values = [graph.constants[name].astype(np.float64) for name in node.inputs[1:] if name in graph.constants]
        if not found.takes(node, values):
            break
        graph = _without(graph, node.output)
    if not np.all(found.scale):
        raise UnsupportedOperator("it multiplies a channel of the image by 0: train the network without that channel")
    graph, scale, shift = _with_positive(graph, found.scale, found.shift)
    order = _order(found.places)
    notes = () if order is None else (_EXCHANGED.format(order=order),)
    if np.all(scale == 1) and not np.any(shift):
        return Head(graph, None, order, notes)
    mean, std = ([float(f"{value:.7g}") for value in values] for values in (0 - shift / scale, 1 / scale))
    arithmetic = Arithmetic(tuple(mean), tuple(std), _unit(found, mean, std, is_integer=file.takes_integers))
    note = f"arithmetic at the start left out, (x - {_shown(mean)}) / {_shown(std)}: it belongs to the preprocessing"
    return Head(graph, arithmetic, order, (*notes, note))


_EXCHANGED = (
    "colours exchanged at the start, left out: of images in RGB the network behind sees {order}. If the file takes "
    "BGR, it sees RGB"
)


def _shown(values: list[float]) -> str:
    """One number if all are the same."""
    texts = [f"{value:.6g}" for value in values]
    return texts[0] if len(set(texts)) == 1 else f"[{', '.join(texts)}]"


class _Found:
    """What was found before the first layer: channel c of what it reads is scale x + shift of channel places[c].

    Attributes:
        places: [C].
        scale: [C].
        shift: [C].
        statistics: mean and standard deviation of the input, in the order of ``places``, where batch normalization
            remembers them.
    """

    def __init__(self, channels: int) -> None:
        self.places = np.arange(channels)
        self.scale, self.shift = np.ones(channels), np.zeros(channels)
        self.statistics: tuple[NDArray[Any], NDArray[Any]] | None = None

    def takes(self, node: Node, values: list[NDArray[Any]]) -> bool:
        """Whether a node works on each channel by itself, or exchanges them: then it is taken note of."""
        if _PRODUCT.match(node) and values:
            self._then(values[0], 0.0)
        elif _SUM.match(node) and values:
            self._then(1.0, values[0])
        elif norm := _NORM.match(node):
            gamma, beta, mean, variance = values
            deviation = np.sqrt(variance + norm.eps)
            if np.any(mean) or np.any(variance != 1):  # else it is arithmetic with one number a channel
                self.statistics = (mean - self.shift) / self.scale, deviation / np.abs(self.scale)
            self._then(gamma / deviation, beta - mean * (gamma / deviation))
        elif convolution := _CONVOLUTION.match(node):
            order = _exchanged(convolution, values, self.places)
            if order is None:
                return False
            weight, bias = values
            self.places, self.scale, self.shift = self.places[order], self.scale[order], self.shift[order]
            self._then(weight[range(len(order)), order, 0, 0], bias)
        else:
            return False
        return True

    def _then(self, scale: float | NDArray[Any], shift: float | NDArray[Any]) -> None:
        self.scale, self.shift = self.scale * scale, self.shift * scale + shift


def _without(graph: Graph, tensor: str) -> Graph:
    """The graph without the node that makes ``tensor`` of its input."""
    others = [node for node in graph if node.output != tensor]
    names = {tensor: graph.input}
    return graph.with_nodes(
        [replace(other, inputs=tuple(names.get(name, name) for name in other.inputs)) for other in others]
    )


def _exchanged(op: Conv2d, values: list[NDArray[Any]], places: NDArray[Any]) -> list[int] | None:
    """The order in which a convolution gives its input's channels, each by itself, if the order has a name."""
    weight, _ = values
    if op != Conv2d() or weight.shape != (len(places), len(places), 1, 1):
        return None
    order = [int(np.argmax(np.abs(row))) for row in weight[:, :, 0, 0]]
    if sorted(order) != list(range(len(places))) or np.any(
        (weight[:, :, 0, 0] != 0) & (np.eye(len(places))[order] == 0)
    ):
        return None
    has_name = _order(places[order]) is not None or list(places[order]) == sorted(places)
    return order if has_name else None


def _order(places: NDArray[Any]) -> str | None:
    """The name of an order of channels; None for the usual one, or where it has none."""
    usual = USUAL_ORDER.get(len(places))
    others = (order for order in orders_of(len(places)) if order != usual)
    return next((order for order in others if ORDERS[order][1] == tuple(places.tolist())), None)


def _with_positive(graph: Graph, scale: NDArray[Any], shift: NDArray[Any]) -> tuple[Graph, NDArray[Any], NDArray[Any]]:
    """The same with scales above 0: the sign goes into the weights behind, where zeros around the image stay zeros."""
    sign = np.sign(scale)
    if np.all(sign > 0):
        return graph, scale, shift
    constants = {}
    for node in graph.consumers(graph.input):
        if node.op.window is None or not node.op.has_weights or node.op.groups_of_weights != 1:
            raise UnsupportedOperator(
                f"node {node.name!r} reads an image whose sign was turned, and is no plain convolution: let it read "
                f"the image as it is"
            )
        name = node.operand("weight")
        weight = graph.constants[name]
        constants[name] = (weight * sign[None, :, None, None]).astype(np.float32)
    return graph.with_nodes(graph.nodes, constants=constants), scale * sign, shift * sign


def _unit(found: _Found, mean: list[float], std: list[float], *, is_integer: bool) -> float | None:
    """What the brightest pixel is in the units of the input, 1 or 255; None where the input is no pixels."""
    if is_integer:
        return _LEVELS
    if found.statistics is not None:  # learned: they tell what came in
        means, stds = found.statistics
        units = (unit for unit in (1.0, _LEVELS) if _within(means / unit, _MEANS) and _within(stds / unit, _STDS))
        return next(units, None)
    return next((unit for unit in (1.0, _LEVELS) if _takes_pixels(mean, std, unit)), None)


def _takes_pixels(mean: list[float], std: list[float], unit: float) -> bool:
    """Whether pixels from 0 to ``unit`` become what networks take: else they were normalized before."""
    spans = [unit / value for value in std]
    usual = all(_SPANS[0] <= span <= _SPANS[1] for span in spans) or all(abs(span - _LEVELS) < 2 for span in spans)
    return usual and min(mean) >= 0 and max(mean) <= unit


def _within(values: NDArray[Any], limits: tuple[float, float]) -> bool:
    return bool(np.all((limits[0] <= values) & (values <= limits[1])))
