"""How far apart two networks are in each layer: integers in LSB, and reals as a signal with noise."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgekit.ir import Graph

FINE_DB: Final = 40.0  # an error of one percent of the values, root mean square


@dataclass(frozen=True, slots=True)
class LayerComparison:
    """One layer of two networks, over all images.

    Attributes:
        layer: the checkpoint's module, or the tensor where that is not known.
        tensor: what the layer makes, by its name in the graph.
        operator: what the layer does; empty where that is not known.
        values: how many were compared.
        equal: how many are the same.
        differences: how many are off by how many LSB, 0 included; empty where not both are stored integers.
        max_difference: in LSB, or relative to the largest value of reals.
        signal: sum of the squares of the second network's values, as reals.
        noise: sum of the squares of the differences, likewise.
    """

    layer: str
    tensor: str
    operator: str
    values: int
    equal: int
    differences: Mapping[int, int] = field(repr=False)
    max_difference: float
    signal: float
    noise: float

    @property
    def identical(self) -> float:
        """The share of equal values, 0..1."""
        return self.equal / self.values if self.values else 0.0

    @property
    def sqnr_db(self) -> float:
        """The second network's power over that of the difference, decibels; inf without one, -inf where one is NaN."""
        if not self.noise:
            return math.inf
        ratio = self.signal / self.noise
        return 10 * math.log10(ratio) if ratio > 0 else -math.inf

    def __add__(self, other: LayerComparison) -> LayerComparison:
        """The same layer on the images of both."""
        assert (self.layer, self.tensor) == (other.layer, other.tensor)
        return replace(
            self,
            values=self.values + other.values,
            equal=self.equal + other.equal,
            differences=dict(sorted((Counter(self.differences) + Counter(other.differences)).items())),
            max_difference=max(self.max_difference, other.max_difference),
            signal=self.signal + other.signal,
            noise=self.noise + other.noise,
        )


def merged(parts: Sequence[Sequence[LayerComparison]]) -> tuple[LayerComparison, ...]:
    """The layers of one network over several batches of images; a layer that one batch lacks is left out."""
    found: dict[str, LayerComparison] = {}
    for layers in parts:
        for layer in layers:
            found[layer.tensor] = found[layer.tensor] + layer if layer.tensor in found else layer
    return tuple(found.values())


def steepest_fall(layers: Sequence[LayerComparison], graph: Graph | None) -> LayerComparison | None:
    """The layer whose SQNR, in decibels, falls furthest below that of the worst tensor that it reads.

    Below ``FINE_DB``, that is: from 140 to 70 is nothing. None where all layers are fine, or none is worse than what it
    reads.

    Args:
        layers: in the order of execution.
        graph: says what reads what; without one, each layer is taken to read all that come before it.
    """
    sqnr = {layer.tensor: min(layer.sqnr_db, FINE_DB) for layer in layers}
    names = list(sqnr)
    reads: Mapping[str, Sequence[str]] = {name: names[:i] for i, name in enumerate(names)}
    if graph is not None:
        reads = {node.output: graph.activations(node) for node in graph if node.output in sqnr}
    falls = {
        name: min((sqnr.get(source, FINE_DB) for source in sources), default=FINE_DB) - sqnr[name]
        for name, sources in reads.items()
    }
    worst = max(layers, key=lambda layer: falls.get(layer.tensor, 0.0), default=None)
    return worst if worst is not None and falls.get(worst.tensor, 0.0) > 0 else None
