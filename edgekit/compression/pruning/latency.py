"""What channels cost in milliseconds, as something predicts them from a network's graph."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgekit.passes import integer_form

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from edgekit.compression.pruning.budget import Width
    from edgekit.compression.pruning.groups import Group
    from edgekit.ir import Graph

_HALF: Final = 0.5  # of the channels of a layer: fewer may save nothing, as kernels make several at a time


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Latency:
    """Predicted latency of a network for any number of channels of its groups.

    Attributes:
        graph: of the network, as ``capture`` gives it.
        groups: of its channels.
        widths: of these.
        predict: milliseconds of a graph in ``passes.integer_form``.
    """

    graph: Graph
    groups: tuple[Group, ...]
    widths: tuple[Width, ...]
    predict: Callable[[Graph], float]
    _known: dict[bytes, float] = field(default_factory=dict, init=False, repr=False)
    _slopes: dict[str, NDArray[np.float64]] = field(default_factory=dict, init=False, repr=False)

    def of(self, channels: NDArray[np.float64]) -> float:
        """Milliseconds of the network with so many channels of each group, [groups]."""
        key = channels.tobytes()
        if key not in self._known:
            self._known[key] = self.predict(integer_form(narrowed(self.graph, self.groups, channels)))
        return self._known[key]

    def slopes(self, _channels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Milliseconds of one channel of each group, [groups]: of the whole network, where half of a layer's go."""
        if "" not in self._slopes:
            whole = np.array([float(group.channels) for group in self.groups])
            found = np.zeros(len(whole))
            for width in self.widths:
                places = list(width.groups)
                fewer = whole.copy()
                fewer[places] = np.maximum(np.floor(whole[places] * _HALF), 1)
                saved, gone = self.of(whole) - self.of(fewer), (whole - fewer)[places].sum()
                found[places] = max(saved, 0.0) / max(gone, 1.0)
            self._slopes[""] = found
        return self._slopes[""]


def narrowed(graph: Graph, groups: Sequence[Group], channels: NDArray[np.float64]) -> Graph:
    """A graph with the first so many channels of each group: of no use but for its shapes.

    Args:
        graph: as ``capture`` gives it.
        groups: of its channels.
        channels: of each group, [groups].
    """
    gone: dict[tuple[str, int], list[int]] = {}
    for group, count in zip(groups, channels.astype(int), strict=True):
        for axis, modules in enumerate((group.made, group.read)):
            for name, places in modules.items():
                gone.setdefault((name, axis), []).extend(places[count:].tolist())
    constants: dict[str, NDArray[Any]] = {}
    tensors = {graph.input: graph.tensors[graph.input]}
    nodes = []
    for node in graph:
        own = {name: graph.constants[name] for name in node.inputs if name in graph.constants}
        for axis in (0, 1):
            if dropped := gone.get((node.name, axis)):
                columns = set(node.read("weight")) if axis else set(own)
                own |= {name: np.delete(array, dropped, axis) for name, array in own.items() if name in columns}
        constants |= own
        read = [tensors[name].shape for name in graph.activations(node)]
        before = graph.tensors[graph.activations(node)[0]].shape
        op = node.op if before == read[0] else node.op.with_channels(read[0][0])
        if node.op.has_weights and node.op.groups_of_weights > 1:
            op = replace(op, groups=len(own[node.operand("weight")]))  # type: ignore[call-arg] # a convolution
        shape = op.output_shape(*(constants[n].shape if n in constants else tensors[n].shape for n in node.inputs))
        tensors[node.output] = replace(graph.tensors[node.output], shape=shape)
        nodes.append(replace(node, op=op))
    return replace(graph, nodes=tuple(nodes), tensors=tensors, constants=constants, statistics={})
