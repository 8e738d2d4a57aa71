"""What a network makes a machine do, layer by layer, in counts that its kernels' time grows with.

A kernel computes whole tiles of a matrix product: some rows (places of the feature map), columns (output channels) and
a step along the input channels at once, and what does not fill a tile takes as long as what does (K. Goto, R. van de
Geijn, Anatomy of High-Performance Matrix Multiplication, ACM TOMS 34(3), 2008; QNNPACK and XNNPACK for convolutions). A
depthwise kernel computes some channels at once, and what is left over one by one, or as a whole group.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from edgekit.ir import (
    Add,
    ArgMax,
    AveragePool2d,
    Concat,
    Conv2d,
    Dequantize,
    Graph,
    HardSwish,
    LeakyReLU,
    Linear,
    MaxPool2d,
    Mean,
    Mul,
    Node,
    Pad,
    Padding,
    PReLU,
    Quantize,
    Rearrange,
    Requantize,
    Resize,
    Sigmoid,
    Slice,
    Softmax,
)
from edgekit.ir.registry import OperatorTable, canonical

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edgekit.ir import Op
    from edgekit.ir.operators.operator import Shape

Counts = dict[str, float]  # by term: "depthwise convolution of 3x3: results"

BOUNDARY: Final = "boundary"  # the kind of what no operator of the network does: a call, and the input's conversion
_LINEAR, _POINTWISE, _CONVOLUTION, _PADDING = "linear", "pointwise convolution", "convolution", "padding"
_DEPTHWISE: Final = "depthwise convolution"
_PRODUCTS: Final = (_LINEAR, _POINTWISE, _CONVOLUTION)  # computed as products of matrices
_WORD: Final = 4  # numbers of eight bits that are written at once


@dataclass(frozen=True, slots=True)
class Tiling:
    """What kernels compute at once.

    Attributes:
        rows: places of a feature map, of a convolution;
        columns: output channels of it;
        depth: input channels of it.
        channels: of a depthwise convolution.
        vector: channels of a depthwise convolution that are left over are computed in such groups, and then one by one.
    """

    rows: int = 1
    columns: int = 1
    depth: int = 1
    channels: int = 1
    vector: int = 1


@dataclass(frozen=True, slots=True)
class Layer:
    """One operator of a network, as far as its time depends on it.

    Attributes:
        name: of the node.
        kind: what it does, in words; its time is measured for each kind.
        read: numbers that it reads, without weights.
        made: numbers that it makes.
        places: of the feature map that it makes, 1 of a vector; without weights, of the largest that it reads or makes.
        inputs: channels that each result is made of.
        outputs: channels that it makes.
        taps: places of its kernel.
        pads: it needs zeros around its input that TensorFlow's SAME would not put there, so a .tflite file has a PAD.
    """

    name: str
    kind: str
    read: int
    made: int
    places: int
    inputs: int = 1
    outputs: int = 1
    taps: int = 1
    pads: bool = False


LAYERS: OperatorTable[[Graph, Node], Layer] = OperatorTable("the latency model", canonical)


def layers(graph: Graph) -> tuple[Layer, ...]:
    """The layers of a canonical graph, and first what a run takes besides them."""
    size = math.prod(graph.tensors[graph.input].shape)
    return (Layer(BOUNDARY, BOUNDARY, size, size, 1), *(LAYERS[node](graph, node) for node in graph))


def counts(layer: Layer, tiling: Tiling) -> Counts:
    """What a layer makes a machine do; how long each unit takes is what is fitted.

    What is written and read one by one, because it fills no tile, costs the same in layers with different kernels.
    """
    found = {f"{layer.kind}: {unit}": float(count) for unit, count in _units(layer, tiling) if count}
    for kind, unit, count in _left_over(layer, tiling):
        if count:
            found[f"{kind}: {unit}"] = float(count)
    if layer.pads:
        found |= {f"{_PADDING}: calls": 1.0, f"{_PADDING}: numbers": float(layer.read)}
    return found


def _units(layer: Layer, tiling: Tiling) -> Iterator[tuple[str, int]]:
    yield "calls", 1
    if layer.kind.startswith(_DEPTHWISE):
        yield "steps", layer.places * layer.taps * -(-layer.outputs // tiling.channels)
        yield "taps", layer.places * layer.taps
        yield "results", layer.made
        yield "places", layer.places
        yield "numbers read", layer.read
    elif layer.kind in _PRODUCTS:
        tiles = -(-layer.places // tiling.rows) * -(-layer.outputs // tiling.columns)
        yield "steps", tiles * layer.taps * -(-layer.inputs // tiling.depth)
        yield "tiles", tiles
        yield "weights", layer.inputs * layer.outputs * layer.taps
        yield "places", layer.places
        yield "results", layer.made
        yield "numbers read", layer.read
        if layer.taps > 1:
            yield "taps of tiles", tiles * layer.taps
            yield "taps", layer.places * layer.taps
            yield "patches", layer.places * layer.taps * layer.inputs
    else:
        yield "numbers", max(layer.read, layer.made)
        yield "places", layer.places


def _left_over(layer: Layer, tiling: Tiling) -> Iterator[tuple[str, str, int]]:
    """What fills no tile, and what rows that are no multiple of a tile cost where they lie across its borders."""
    if layer.kind.startswith(_DEPTHWISE):
        taps = layer.places * layer.taps
        yield _DEPTHWISE, "narrow rows", layer.places * (layer.outputs < tiling.channels)
        yield _DEPTHWISE, "left-over channels", taps * (layer.outputs % tiling.channels)
        yield _DEPTHWISE, "single channels", taps * (layer.outputs % tiling.vector)
        yield (
            _DEPTHWISE,
            "uneven steps",
            taps * -(-layer.outputs // tiling.channels) * (layer.outputs % tiling.channels > 0),
        )
    elif layer.kind in _PRODUCTS:
        yield _CONVOLUTION, "narrow rows", layer.places * (layer.outputs < tiling.columns)
        yield _CONVOLUTION, "left-over results", layer.places * (layer.outputs % tiling.columns)
        yield _CONVOLUTION, "single results", layer.places * (layer.outputs % tiling.vector)
        yield _CONVOLUTION, "uneven results", layer.made * (layer.outputs % _WORD > 0)
        yield _CONVOLUTION, "single numbers read", layer.places * layer.taps * (layer.inputs % tiling.vector)


@LAYERS.implements(Conv2d)
def _convolution(op: Conv2d, graph: Graph, node: Node) -> Layer:
    outputs, inputs, height, width = graph.constants[node.operand("weight")].shape
    taps = height * width
    spread = "" if op.dilation == (1, 1) else f", dilated by {op.dilation[0]}"
    found = _product(graph, node)
    if op.groups > 1:
        is_depthwise = inputs == 1 and outputs == op.groups
        kind = f"{_DEPTHWISE if is_depthwise else 'grouped convolution'} of {height}x{width}{spread}"
    elif taps > 1:
        kind = f"{_CONVOLUTION}{' of other places' if spread else ''}{spread}"
    else:
        kind = found.kind
    pads = taps > 1 and not _is_same(op, graph.shapes_read(node)[0], [height, width])
    return replace(found, kind=kind, pads=pads)


@LAYERS.implements(Linear)
def _linear(_op: Linear, graph: Graph, node: Node) -> Layer:
    return _product(graph, node)


@LAYERS.implements(Add)
def _addition(_op: Add, graph: Graph, node: Node) -> Layer:
    return _with_another(graph, node, "addition")


@LAYERS.implements(Mul)
def _multiplication(_op: Mul, graph: Graph, node: Node) -> Layer:
    return _with_another(graph, node, "product")


@LAYERS.implements(Resize)
def _resize(op: Resize, graph: Graph, node: Node) -> Layer:
    return _without_weights(graph, node, f"{type(op).__name__} by {op.mode}")


@LAYERS.implements(
    *(ArgMax, AveragePool2d, Concat, Dequantize, HardSwish, LeakyReLU, MaxPool2d, Mean, PReLU, Pad, Quantize),
    *(Rearrange, Requantize, Sigmoid, Slice, Softmax),
)
def _other(op: Op, graph: Graph, node: Node) -> Layer:
    return _without_weights(graph, node, type(op).__name__)


def _product(graph: Graph, node: Node) -> Layer:
    """A matrix product of what each place reads with the weights."""
    made, read = graph.tensors[node.output].shape, graph.shapes_read(node)
    outputs, inputs, *kernel = graph.constants[node.operand("weight")].shape
    places = math.prod(made[1:])
    return Layer(
        node.name,
        _LINEAR if places == 1 else _POINTWISE,
        sum(map(math.prod, read)),
        math.prod(made),
        places,
        inputs=inputs,
        outputs=outputs,
        taps=math.prod(kernel),
    )


def _without_weights(graph: Graph, node: Node, kind: str) -> Layer:
    made, read = graph.tensors[node.output].shape, graph.shapes_read(node)
    most_places = max(math.prod(shape[1:]) for shape in (*read, made))
    return Layer(node.name, kind, sum(map(math.prod, read)), math.prod(made), most_places)


def _with_another(graph: Graph, node: Node, what: str) -> Layer:
    """A sum or product is told by what its second operand is."""
    made, read, second = graph.tensors[node.output].shape, graph.shapes_read(node), node.operand("b")
    if second in graph.constants:
        what += f" with {'one constant' if graph.constants[second].size == 1 else 'constants'}"
    elif not graph.tensors[second].shape == made == read[0]:
        what += " with one number a channel"
    return _without_weights(graph, node, what)


def _is_same(op: Conv2d, read: Shape, kernel: list[int]) -> bool:
    """Whether its zeros are those that TensorFlow would put there, or none."""
    _, height, width = read
    reach = op.window.reach(kernel)
    return not op.padding or op.padding == Padding.same((height, width), reach, op.stride)


def total(of: tuple[Layer, ...], tiling: Tiling) -> Counts:
    """The counts of several layers together."""
    summed: Counts = {}
    for layer in of:
        for term, count in counts(layer, tiling).items():
            summed[term] = summed.get(term, 0.0) + count
    return summed


def most(of: Mapping[str, float], other: Mapping[str, float]) -> Counts:
    """The larger of both counts, term by term."""
    return {term: max(of.get(term, 0.0), other.get(term, 0.0)) for term in {**of, **other}}
