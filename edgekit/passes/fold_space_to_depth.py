"""Space to depth, convolution -> a convolution of larger steps.

Given   y = conv(s(x)), s making each block of b x b pixels one pixel of b * b times the channels
Result  y = conv'(x), with kernel, stride and padding b times as large

YOLOX and YOLOv5 begin so, written as every second pixel of every second row, four times, and joined: that is one
rearrangement. Without it pixels enter the first convolution as they are, which can take their normalization in.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgekit.ir import Concat, Conv2d, Graph, Padding, Part, Rearrange, Slice
from edgekit.passes.matching import Pattern, has_one_reader

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.ir import Node

_JOINED, _PART, _REARRANGED, _CONVOLUTION = Pattern(Concat), Pattern(Slice), Pattern(Rearrange), Pattern(Conv2d)


def fold_space_to_depth(graph: Graph) -> Graph:
    """Let every ordinary convolution that alone reads space made depth read the space."""
    nodes: dict[str, Node] = {}  # by output
    constants: dict[str, NDArray[np.float32]] = {}
    for node in graph:
        nodes[node.output] = node
        op = _CONVOLUTION.match(node)
        if op is None or op.groups != 1 or op.dilation != (1, 1) or not has_one_reader(graph, node.operand("x")):
            continue
        found = _space(graph, graph.producer(node.operand("x")))
        if found is None:
            continue
        x, places = found
        weight = node.operand("weight")
        constants[weight], block = _spread(graph.constants[weight], places)
        p, (rows, columns) = op.padding, op.stride
        padding = Padding(*(block * side for side in (p.top, p.bottom, p.left, p.right)))
        larger = replace(op, stride=(block * rows, block * columns), padding=padding)
        nodes[node.output] = replace(node, op=larger, inputs=(x, *node.inputs[1:]))
    return graph.with_nodes(tuple(nodes.values()), constants=constants)


def _space(graph: Graph, node: Node | None) -> tuple[str, NDArray[np.intp]] | None:
    """What ``node`` makes depth of, and the channel, row and column in a block that each of its channels is of."""
    if node is None:
        return None
    if (joined := _JOINED.match(node)) is not None:
        parts = [graph.producer(name) for name in node.inputs]
        sources = {part.operand("x") for part in parts if part is not None and _PART.match(part)}
        if joined.axis == 0 and len(sources) == 1 and all(map(_PART.match, parts)):
            (x,) = sources
            return _of_parts(x, graph.tensors[x].shape, [op for op in map(_PART.match, parts) if op is not None])
    if (op := _REARRANGED.match(node)) is not None:
        x = node.operand("x")
        places = _of_rearrangement(op, graph.tensors[x].shape)
        return None if places is None else (x, places)
    return None


def _of_parts(x: str, shape: tuple[int, ...], parts: list[Slice]) -> tuple[str, NDArray[np.intp]] | None:
    """Of slices of ``x``, each of which takes one pixel of every block, behind one another."""
    channels, *size = shape
    block = parts[0].parts[1].step
    places = []
    for channel, row, column in (part.parts for part in parts):
        taken = [Part(axis.start, count // block, block) for axis, count in zip((row, column), size, strict=True)]
        starts = max(row.start, column.start) < block
        if channel != Part(0, channels) or [row, column] != taken or not starts or any(n % block for n in size):
            return None
        places += [(number, row.start, column.start) for number in range(channels)]
    whole = len(places) == channels * block * block and len(set(places)) == len(places)
    return (x, np.array(places)) if whole and block > 1 else None


def _of_rearrangement(op: Rearrange, shape: tuple[int, ...]) -> NDArray[np.intp] | None:
    """Of one rearrangement, whatever the order of its channels."""
    if len(shape) != len(op.shape) or len(shape) != 3 or not op.shape[1]:
        return None
    (channels, height, width), block = shape, shape[1] // op.shape[1]
    if block < 2 or op.shape != (channels * block * block, height // block, width // block):
        return None
    parts = (channels, height // block, block, width // block, block)
    counts = np.indices((channels, block, block))
    for order in itertools.permutations(range(3)):
        if op == Rearrange(parts, (*(2 * axis for axis in order), 1, 3), op.shape):
            return counts.transpose(0, *(1 + axis for axis in order)).reshape(3, -1).T
    return None


def _spread(weight: NDArray[np.float32], places: NDArray[np.intp]) -> tuple[NDArray[np.float32], int]:
    """A weight [O, I, kH, kW] as one of the pixels that its channels are made of, and the size of a block."""
    channels, block, _ = places.max(0) + 1
    made, _, height, width = weight.shape
    spread = np.zeros((made, channels, height, block, width, block), np.float32)
    channel, row, column = places.T
    spread[:, channel, :, row, :, column] = weight.transpose(1, 0, 2, 3)
    return spread.reshape(made, channels, height * block, width * block), int(block)
