"""What each layer gives on some images: mean, spread, range and zeros, with channels that are dead or saturated.

A channel is dead on these images if it gives one number everywhere: nothing behind it learns anything from it. It is
saturated if nearly all of its values lie at the upper limit of its activation, where a gradient is 0: 6 of a ReLU6,
1 of a sigmoid. Hard-swish and ReLU have no upper limit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from edgekit.executor.float import FloatExecutor
from edgekit.ir import Clamp, HardSigmoid, Sigmoid
from edgekit.ir.registry import OperatorTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.float_model import FloatModel
    from edgekit.ir import Graph, Node, Op
    from edgekit.progress import Progress

BATCH: Final = 16
CONSTANT: Final = 1e-6  # of the largest value of the layer: float32 sums of the same numbers differ by less
AT_LIMIT: Final = 0.99  # of the values of a channel that is called saturated
_NEAR_LIMIT: Final = 1e-3  # of the limit: a sigmoid comes near to 1 and never reaches it


def _unlimited(op: type[Op]) -> str:
    """Why an operator has no upper limit here."""
    return "" if op in {Clamp, HardSigmoid, Sigmoid} else "it is no activation with an upper limit"


LIMITS: OperatorTable[[], float] = OperatorTable("upper limits of activations", _unlimited)


@LIMITS.implements(Clamp)
def _of_clamp(op: Clamp) -> float:
    return op.high


@LIMITS.implements(HardSigmoid, Sigmoid)
def _of_sigmoid(_op: Op) -> float:
    return 1.0


@dataclass(frozen=True, slots=True)
class LayerStatistics:
    """What one layer gives, over all images and places.

    Attributes:
        layer: the checkpoint's module.
        operator: what it does ("Conv2d").
        channels: how many it gives.
        mean: of all values, in the units of the network.
        std: likewise.
        min: likewise.
        max: likewise.
        zeros: share of the values that are 0, 0..1.
        at_limit: share of the values at the upper limit of the activation, 0..1; None where it has no limit.
        dead: the channels that give one number everywhere.
        saturated: the channels that are nearly always at the upper limit.
        not_finite: how many values are NaN or infinite.
    """

    layer: str
    operator: str
    channels: int
    mean: float
    std: float
    min: float
    max: float
    zeros: float
    at_limit: float | None
    dead: tuple[int, ...]
    saturated: tuple[int, ...]
    not_finite: int


class _Sums:
    """What is summed up over batches, channel by channel."""

    def __init__(self, node: Node, channels: int) -> None:
        self.node, self.limit, self.not_finite, self.number = node, _upper_limit(node), 0, 0
        self.sum, self.squares, self.zeros, self.at_limit = (np.zeros(channels) for _ in range(4))
        self.low, self.high = np.full(channels, math.inf), np.full(channels, -math.inf)

    def add(self, values: torch.Tensor) -> None:
        """A batch, [N, C, ...]."""
        channels = values.double().transpose(0, 1).flatten(1)  # [C, N ...]
        self.not_finite += int((~channels.isfinite()).sum())
        channels = channels.nan_to_num(0.0, 0.0, 0.0)
        self.number += channels.shape[1]
        self.sum += channels.sum(1).numpy()
        self.squares += channels.square().sum(1).numpy()
        self.zeros += (channels == 0).sum(1).numpy()
        self.low = np.minimum(self.low, channels.amin(1).numpy())
        self.high = np.maximum(self.high, channels.amax(1).numpy())
        if self.limit is not None:
            self.at_limit += (channels >= self.limit * (1 - _NEAR_LIMIT)).sum(1).numpy()

    def statistics(self) -> LayerStatistics:
        """Over everything that was added."""
        total = self.number * len(self.sum)
        mean = float(self.sum.sum() / total)
        largest = max(abs(self.low).max(), abs(self.high).max())
        dead = self.high - self.low <= CONSTANT * largest
        saturated = self.at_limit > AT_LIMIT * self.number
        return LayerStatistics(
            layer=self.node.name,
            operator=type(self.node.op).__name__,
            channels=len(self.sum),
            mean=mean,
            std=math.sqrt(max(float(self.squares.sum() / total) - mean**2, 0.0)),
            min=float(self.low.min()),
            max=float(self.high.max()),
            zeros=float(self.zeros.sum() / total),
            at_limit=None if self.limit is None else float(self.at_limit.sum() / total),
            dead=tuple(np.flatnonzero(dead).tolist()),
            saturated=tuple(np.flatnonzero(saturated).tolist()),
            not_finite=self.not_finite,
        )


def statistics_of(model: FloatModel, pixels: NDArray[np.uint8], progress: Progress) -> tuple[LayerStatistics, ...]:
    """The statistics of every layer, with its activation, in the order of the network.

    Args:
        model: the float network.
        pixels: [N, H, W, C].
        progress: told of every batch.
    """
    graph, executor = model.graph, FloatExecutor(model.graph)
    sums = {node.output: _Sums(node, graph.tensors[node.output].shape[0]) for node in graph if _is_layer(node, graph)}

    def observe(tensor: str, values: torch.Tensor) -> None:
        if tensor in sums:
            sums[tensor].add(values)

    with torch.inference_mode():
        for start in range(0, len(pixels), BATCH):
            progress("looking into layers", start, len(pixels))
            shown = model.preprocessing.normalization(pixels[start : start + BATCH])
            executor(torch.from_numpy(shown), observe=observe)
    progress("looking into layers", len(pixels), len(pixels))
    return tuple(one.statistics() for one in sums.values())


def _is_layer(node: Node, graph: Graph) -> bool:
    """Whether it has weights or is an activation, and gives channels."""
    tensor = graph.tensors[node.output]
    return (node.op.has_weights or _upper_limit(node) is not None) and len(tensor.shape) in {1, 3}


def _upper_limit(node: Node) -> float | None:
    """The upper limit of what a node gives; None where there is none."""
    limit = LIMITS[node]() if type(node.op) in LIMITS else math.inf
    if node.activation is not None:
        limit = min(limit, node.activation.high)
    return limit if math.isfinite(limit) else None
