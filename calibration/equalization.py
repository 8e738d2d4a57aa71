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
from edgekit.calibration.scale_groups import sharing
from edgekit.passes.gate_convolution import gate_convolution, gates
from edgekit.quantization import INT8_MAX, INT8_MIN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgekit.calibration.families import Channels, Family
    from edgekit.float_model import FloatModel
    from edgekit.ir import Graph

    Gains = Mapping[str, Sequence[float] | NDArray[np.float64]]

LARGEST = 16.0  # of the gains of a tensor's channels: the columns of weights behind are as much smaller
WORTH = 0.05  # a gate becomes a convolution for this part of the error that the hard-swishes still make
PROBE = 8  # images that the error of a hard-swish is measured on


def find_gains(
    model: FloatModel, images: NDArray[np.float32], options: Options = DEFAULT
) -> dict[str, NDArray[np.float64]]:
    """What to multiply each group of channels by, [K], by the names of the families that they belong to.

    Args:
        model: in ``passes.integer_form``.
        images: normalized, [N, C, H, W].
        options: whether one scale serves all output channels of a layer, too.
    """
    graph = model.graph
    seen = observe_channels(graph, images)
    swishes = {gate.operand("a"): gate for gate in gates(graph)}
    found: dict[str, NDArray[np.float64]] = {}
    members: dict[str, Family] = {}
    for whole in families(gate_convolution(graph, [gate.name for gate in swishes.values()])):
        family = _scalable(graph, whole, past_relu6=options.per_tensor_weights)
        if family.free.any():
            members[family.name] = family
            found[family.name] = _gains(graph, family, seen)
    gated = {name: family for name, family in members.items() if any(map(family.frees, swishes.keys() & family.groups))}
    if gated:
        for name in _not_worth_a_gate(OutputError(graph, images[:PROBE]), gated, found):
            del found[name], members[name]
    if not options.per_tensor_weights:
        return found
    carried = {name for family in members.values() for name in family.groups if family.frees(name)}
    chosen = gate_convolution(graph, [gate.name for x, gate in swishes.items() if x in carried])
    return balanced_gains(chosen, found, [*members.values()], seen)


def _not_worth_a_gate(
    errors: OutputError, gated: Mapping[str, Family], gains: Mapping[str, NDArray[np.float64]]
) -> list[str]:
    """The names of the families with hard-swishes whose gains take away too little error."""
    before = {name: _error(errors, family, np.ones_like(gains[name])) for name, family in gated.items()}
    less = {name: before[name] - _error(errors, family, gains[name]) for name, family in gated.items()}
    left = sum(before.values())
    rejected = []
    for name in sorted(less, key=less.__getitem__, reverse=True):  # what is worth most, first
        if less[name] < WORTH * left:
            rejected.append(name)
        else:
            left -= less[name]
    return rejected


def equalize(model: FloatModel, gains: Gains) -> FloatModel:
    """``model`` with every channel of the named families multiplied by its group's gain; the same function of images.

    A convolution that makes such a tensor multiplies its rows, one that reads it divides its columns. The gates of
    hard-swishes whose channels are scaled become convolutions.

    Args:
        model: in ``passes.integer_form``.
        gains: as ``find_gains`` found them.
    """
    graph = model.graph
    of_tensor: dict[str, NDArray[np.float64]] = {}
    for family in families(gate_convolution(graph, [gate.name for gate in gates(graph)])):
        if family.name in gains:
            found = np.asarray(gains[family.name])
            of_tensor |= {name: found[groups] for name, groups in family.groups.items()}
    assert gains.keys() <= of_tensor.keys(), "these gains belong to another network"
    of_tensor = {name: gain for name, gain in of_tensor.items() if (gain != 1).any()}
    graph = gate_convolution(graph, [gate.name for gate in gates(graph) if gate.operand("a") in of_tensor])
    return replace(model, graph=_scaled(graph, of_tensor))


# --- how far channels reach, and what follows -----------------------------------------------------------------------


def _scalable(graph: Graph, family: Family, *, past_relu6: bool) -> Family:
    """The family with gains for what they serve.

    What enters a hard-swish is scaled together with all else of its family, so that it reaches as far as 3. Where some
    of that has to stay as it is, it carries none.

    Args:
        graph: the float network.
        family: with all gains that can be.
        past_relu6: below its six, which it must not reach then.
    """
    capped = [name for name in family.groups if ceiling(graph, name) < math.inf]
    served = family if past_relu6 else family.without(capped)
    if capped or not served.free.all():
        served = served.without(name for name in family.groups if enters_swish(graph, name))
    return served


def _gains(graph: Graph, family: Family, seen: Mapping[str, Channels]) -> NDArray[np.float64]:
    """Gains that make all groups reach as far as the farthest one, seen over all tensors of the family.

    Tensors that share a scale are one here: what is concatenated reaches as far as the farthest branch. What enters a
    hard-swish reaches as far as 3 afterwards, so that its first clamp at -3 takes away from no channel more than
    before. Where ReLU6 is passed, gains are found by ``balancing``, and begin at 1.
    """
    if any(family.frees(name) and ceiling(graph, name) < math.inf for name in family.groups):
        return np.ones(len(family.free))
    share = np.zeros(len(family.free))
    for tensors, _ in sharing(graph, graph.tensors):
        reach = family.farthest({name: seen[name].reach for name in tensors if name in family.groups})
        if (farthest := reach.max()) > 0:
            share = np.maximum(share, reach / farthest)
    gain = np.where(family.free, 1 / np.maximum(share, 1 / LARGEST), 1.0)
    bounded = {name: seen[name].reach for name in family.groups if enters_swish(graph, name) and family.frees(name)}
    farthest = float((family.farthest(bounded) * gain).max())
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


def _error(errors: OutputError, family: Family, gain: NDArray[np.float64]) -> float:
    """The squared error of the logits if each tensor of the family alone is int8, channels scaled; summed up."""
    total = 0.0
    for name, groups in family.groups.items():
        value = errors.values[name]
        factor = torch.as_tensor(gain[groups], dtype=value.dtype).reshape(-1, *[1] * (value.ndim - 2))
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
        kernel = graph.constants[weight].astype(np.float64)  # [O, I / groups, kH, kW] or [O, I]
        spatial = (None,) * (kernel.ndim - 2)
        if x in gains:
            groups = node.op.groups_of_weights
            of_groups = kernel.reshape(groups, -1, *kernel.shape[1:])
            of_groups /= gains[x].reshape(groups, 1, -1)[(..., *spatial)]
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
