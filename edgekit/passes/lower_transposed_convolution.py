"""Transposed convolution -> convolution with more channels, which become rows and columns.

Given   y = transposed(x; W, b), stride s, p rows and columns taken off
Result  z = conv(x; V, b), s s times the channels of y;  y = depth to space(z), without what is beyond its size

Along one axis, row y of the result, counted with what is taken off, gets the weight y - s i of row i of x. So rows of
one phase, y = s Y + r - p, read rows Y + c - t of x, with the weights r' + s t, where r + p = s c + r'. A convolution
computes all phases of Y at once; where one has fewer weights than another, zeros stand in V. Where the kernel is as
large as the stride there are none of them, as in a U-Net; a kernel of 4 with stride 2 costs 9/4 of what it did.

Channels of z are (phase, channel of y), as TFLite's DEPTH_TO_SPACE has them, or, of several groups, (channel, phase),
so that a group's stay together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edgekit.ir import ChannelStatistics, Conv2d, Graph, Lowered, Node, Padding, Rearrange, Slice, TransposedConv2d
from edgekit.ir.operators.slice import Part
from edgekit.passes.matching import Pattern

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from edgekit.ir import Tensor

_TRANSPOSED = Pattern(TransposedConv2d)


def lower_transposed_convolution(graph: Graph) -> Graph:
    """Rewrite every TransposedConv2d."""
    nodes: list[Node] = []
    tensors: dict[str, Tensor] = {}
    constants: dict[str, NDArray[Any]] = {}
    statistics: dict[str, ChannelStatistics] = {}
    for node in graph:
        op = _TRANSPOSED.match(node)
        if op is None:
            nodes.append(node)
            continue
        x, weight, bias = node.read("x", "weight", "bias")
        kernel, made = graph.constants[weight], graph.tensors[node.output]
        (channels, *size), (_, *read) = made.shape, graph.tensors[x].shape
        p = op.padding
        rows = _Axis.of(read[0], kernel.shape[2], op.stride[0], p.top, size[0])
        columns = _Axis.of(read[1], kernel.shape[3], op.stride[1], p.left, size[1])
        phases = math.prod(op.stride)
        in_groups = op.groups > 1
        order = "orsiab" if in_groups else "rsoiab"
        spread = np.einsum(f"oikl,rak,sbl->{order}", kernel, rows.taps, columns.taps)
        constants[weight] = spread.reshape(phases * channels, *spread.shape[3:]).astype(np.float32)

        def every_phase(values: NDArray[Any], *, in_groups: bool = in_groups, phases: int = phases) -> NDArray[Any]:
            return np.repeat(values, phases) if in_groups else np.tile(values, phases)

        constants[bias] = every_phase(graph.constants[bias])
        if (known := graph.statistics.get(node.name)) is not None:
            statistics[node.name] = ChannelStatistics(every_phase(known.mean), every_phase(known.std))
        padding = Padding(rows.before, rows.behind, columns.before, columns.behind)
        parts = [replace(node, op=Conv2d((1, 1), padding, op.groups))]
        moves: list[Rearrange | Slice] = []
        if phases > 1:
            split = (channels, *op.stride) if in_groups else (*op.stride, channels)
            axes = (0, 3, 1, 4, 2) if in_groups else (2, 3, 0, 4, 1)
            whole = (channels, rows.places * op.stride[0], columns.places * op.stride[1])
            moves.append(Rearrange((*split, rows.places, columns.places), axes, whole))
            if whole != made.shape:
                moves.append(Slice(tuple(Part(0, count) for count in made.shape)))
        shape: tuple[int, ...] = (phases * channels, rows.places, columns.places)
        for move in moves:
            inner = f"{node.name}.{'phases' if len(parts) == 1 else 'whole'}"
            tensors[inner] = replace(made, name=inner, shape=shape)
            parts[-1] = replace(parts[-1], output=inner)
            name = f"{node.name}.{'space' if len(parts) == 1 else 'part'}"
            parts.append(Node(name, move, (inner,), node.output))
            shape = move.output_shape(shape)
        nodes += [replace(part, lowered=Lowered(node.name, TransposedConv2d.__name__)) for part in parts]
    return graph.with_nodes(nodes, tensors, constants, statistics=statistics)


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class _Axis:
    """The convolution along one axis.

    Attributes:
        taps: 1 where a weight of V is one of W, [phases, weights of V, weights of W].
        before: zeros in front of x.
        behind: zeros behind it.
        places: of the convolution.
    """

    taps: NDArray[np.float64]
    before: int
    behind: int
    places: int

    @staticmethod
    def of(size: int, kernel: int, stride: int, off: int, made: int) -> _Axis:
        """Of x of ``size``, with ``off`` taken off in front of what is ``made``."""
        found = [  # (phase, row of x behind the result's, weight of W)
            (phase, (phase + off) // stride - t, (phase + off) % stride + stride * t)
            for phase in range(stride)
            for t in range(math.ceil((kernel - (phase + off) % stride) / stride))
        ]
        places = math.ceil(made / stride)
        first = min(0, *(row for _, row, _ in found))
        last = max(size - places, *(row for _, row, _ in found))  # else rows of x would be left over
        taps = np.zeros((stride, last - first + 1, kernel))
        for phase, row, weight in found:
            taps[phase, row - first, weight] = 1
        return _Axis(taps, -first, places - 1 + last - (size - 1), places)
