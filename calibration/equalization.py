"""Equal ranges for channels that one scale has to serve.

One scale serves all channels of a tensor. Where the largest reaches twenty-five times as far as the smallest, the
smallest falls between two steps. Scaling every channel by a factor of its own, and the weights that read it by the
inverse, changes nothing in float and gives all channels the full grid: cross-layer equalization (Nagel et al.,
arXiv:1906.04721, section 4.1), by the ranges of activations instead of weights, because weights have a scale a channel.

Positive factors pass ReLU, sums, means and products with a gate. They pass a hard-swish only if its gate is a
convolution (``passes.gate_convolution``), which costs time, so it is done where it takes away much of the error.
ReLU6 they pass only where a channel stays below its six, and behind weights with a scale a channel that gains nothing:
MobileNetV2 lost 5 dB. Weights with one scale a tensor need it (``balancing``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from edgekit.calibration.balancing import balanced_gains
from edgekit.calibration.families import GATE_OPENS, ceiling, enters_swish, families, observe_channels
from edgekit.calibration.options import DEFAULT, Options
from edgekit.calibration.output_error import OutputError
from edgekit.passes.gate_convolution import gate_convolution, gates
from edgekit.quantization import INT8_MAX, INT8_MIN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgekit.calibration.families import Channels
    from edgekit.float_model import FloatModel
    from edgekit.ir import Graph

    Gains = Mapping[str, Sequence[float] | NDArray[np.float64]]

LARGEST = 16.0  # of the gains of a tensor's channels: the columns of weights behind are as much smaller
WORTH = 0.05  # a gate becomes a convolution for this part of the error that the hard-swishes still make
PROBE = 8  # images that the error of a hard-swish is measured on


def find_gains(
    model: FloatModel, images: NDArray[np.float32], options: Options = DEFAULT
) -> dict[str, NDArray[np.float64]]:
    """What to multiply each channel by, [C], by the first tensor of each family that has to carry the same gains.

    Args:
        model: in ``passes.integer_form``.
        images: normalized, [N, C, H, W].
        options: whether one scale serves all output channels of a layer, too.
    """
    graph = model.graph
    seen = observe_channels(graph, images)
    swishes = {gate.operand("a"): gate for gate in gates(graph)}
    found: dict[str, NDArray[np.float64]] = {}
    gated: dict[str, tuple[str, ...]] = {}
    members = families(gate_convolution(graph, [gate.name for gate in swishes.values()]))
    for family in members:
        if any(ceiling(graph, name) < math.inf for name in family):
            if options.per_tensor_weights:
                found[family[0]] = np.ones_like(seen[family[0]].reach)
            continue
        found[family[0]] = _gains(graph, family, seen)
        if not swishes.keys().isdisjoint(family):
            gated[family[0]] = family
    if gated:
        for first in _not_worth_a_gate(OutputError(graph, images[:PROBE]), gated, found):
            del found[first]
    if not options.per_tensor_weights:
        return found
    members = [family for family in members if family[0] in found]
    carried = {name for family in members for name in family}
    chosen = gate_convolution(graph, [gate.name for x, gate in swishes.items() if x in carried])
    return balanced_gains(chosen, found, members, seen)


def _not_worth_a_gate(
    errors: OutputError, gated: Mapping[str, tuple[str, ...]], gains: Mapping[str, NDArray[np.float64]]
) -> list[str]:
    """The families with hard-swishes, by their first tensor, whose gains take away too little error."""
    before = {first: _error(errors, family, 1.0) for first, family in gated.items()}
    less = {first: before[first] - _error(errors, family, gains[first]) for first, family in gated.items()}
    left = sum(before.values())
    rejected = []
    for first in sorted(less, key=less.__getitem__, reverse=True):  # what is worth most, first
        if less[first] < WORTH * left:
            rejected.append(first)
        else:
            left -= less[first]
    return rejected


def equalize(model: FloatModel, gains: Gains) -> FloatModel:
    """``model`` with every channel of the named tensors' families multiplied by its gain; the same function of images.

    A convolution that makes such a tensor multiplies its rows, one that reads it divides its columns. The gates of
    hard-swishes in such a family become convolutions.

    Args:
        model: in ``passes.integer_form``.
        gains: as ``find_gains`` found them.
    """
    graph = model.graph
    of_tensor: dict[str, NDArray[np.float64]] = {}
    for family in families(gate_convolution(graph, [gate.name for gate in gates(graph)])):
        if family[0] in gains:
            of_tensor |= dict.fromkeys(family, np.asarray(gains[family[0]]))
    assert gains.keys() <= of_tensor.keys(), "these gains belong to another network"
    graph = gate_convolution(graph, [gate.name for gate in gates(graph) if gate.operand("a") in of_tensor])
    return replace(model, graph=_scaled(graph, of_tensor))


# --- how far channels reach, and what follows -----------------------------------------------------------------------


def _gains(graph: Graph, family: Sequence[str], seen: Mapping[str, Channels]) -> NDArray[np.float64]:
    """Gains that make all channels reach as far as the farthest one, seen over all tensors of the family.

    What enters a hard-swish reaches as far as 3 afterwards, so that its first clamp at -3 takes away from no channel
    more than before.
    """
    share = np.zeros_like(seen[family[0]].reach)
    for name in family:
        if (farthest := seen[name].reach.max()) > 0:
            share = np.maximum(share, seen[name].reach / farthest)
    gain = 1 / np.maximum(share, 1 / LARGEST)
    bounded = [name for name in family if enters_swish(graph, name)]
    farthest = max((float((seen[name].reach * gain).max()) for name in bounded), default=0.0)
    return gain * (GATE_OPENS / farthest) if farthest > 0 else gain


@dataclass(frozen=True, slots=True)
class _Grid:
    """int8 over everything that is there.

    It begins at the lowest value. That of an integer model has 0 on a step, which adds up to half a step of error that
    no gain takes away: measured with it, V3-Small's search took 12 gates instead of 6.
    """

    scale: float
    low: float

    def __call__(self, value: torch.Tensor) -> torch.Tensor:
        return ((value - self.low) / self.scale).round() * self.scale + self.low


def _error(errors: OutputError, family: Sequence[str], gain: float | NDArray[np.float64]) -> float:
    """The squared error of the logits if each tensor of the family alone is int8, channels scaled; summed up."""
    total = 0.0
    for name in family:
        value = errors.values[name]
        factor = torch.as_tensor(gain, dtype=value.dtype).reshape(-1, *[1] * (value.ndim - 2))
        scaled = value * factor
        low, high = min(float(scaled.min()), 0.0), max(float(scaled.max()), 0.0)
        grid = _Grid((high - low) / (INT8_MAX - INT8_MIN) or 1.0, low)
        total += errors.of(name, grid(scaled) / factor)
    return total


# --- the rewrite ----------------------------------------------------------------------------------------------------


def _scaled(graph: Graph, gains: Mapping[str, NDArray[np.float64]]) -> Graph:
    constants: dict[str, NDArray[Any]] = {}
    statistics = {}
    for node in graph:
        if not node.op.has_weights:
            continue
        x, weight, bias = node.read("x", "weight", "bias")
        kernel = graph.constants[weight].astype(np.float64)
        spatial = (None,) * (kernel.ndim - 2)
        if x in gains:  # [O, I, kH, kW]; depthwise: [C, 1, kH, kW]
            depthwise = node.op.groups_of_weights > 1
            kernel /= gains[x][(slice(None), None, *spatial) if depthwise else (None, slice(None), *spatial)]
        if node.output in gains:
            gain = gains[node.output]
            kernel *= gain[(slice(None), None, *spatial)]
            constants[bias] = (graph.constants[bias] * gain).astype(np.float32)
            if node.name in graph.statistics:
                statistics[node.name] = graph.statistics[node.name].rescaled(gain)
        constants[weight] = kernel.astype(np.float32)
    tensors = {
        name: replace(graph.tensors[name], factor=tuple((np.asarray(graph.tensors[name].factor) * gain).tolist()))
        for name, gain in gains.items()
    }
    return graph.with_nodes(graph.nodes, tensors, constants, statistics=statistics)
