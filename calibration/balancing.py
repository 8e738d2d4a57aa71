"""Gains for weights that have only one scale a tensor.

One scale for all output channels of a layer leaves little of a channel with small weights, and in MobileNets, after
batch normalization is folded, a channel's weights can be a hundred times as large as another's. Gains multiply rows and
divide columns of weights, so they can even that out; but what they do for weights they may undo for activations. So
they are chosen for the least noise of both together. With g the gains, of channel i of what layer l reads and o of what
it makes, and D a step of int8, rounding the weights adds to channel o, in real units, the variance

    (D_l / g_o)^2 / 12 * sum over i and taps of g_i^2 E[x_i^2],    D_l = max |W g_o / g_i| / 127,

and rounding a tensor adds (D_t / g_c)^2 / 12 to channel c. Each noise is taken as a part of the tensor's power, both
weighted channel by channel with the squared norm of the columns that read it, and the sum over all layers and tensors
is minimized over log g by gradient descent. Cross-layer equalization (Nagel et al., arXiv:1906.04721, section 4.1) is
its closed form for two layers and weights alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from edgekit.calibration.families import GATE_OPENS, ceiling, enters_swish
from edgekit.quantization import INT8_MAX, INT8_MIN, WEIGHT_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgekit.calibration.families import Channels, Family
    from edgekit.ir import Graph, Node

HEADROOM = 1.25  # a channel below ReLU6's six is scaled as if it reached farther than any image shows, by this factor
STEPS = 150
STEP_SIZE = 0.1  # of log g, for Adam
_LEAST_POWER = 1e-12  # of a tensor that is always zero
_LEAST_REACH = 1e-3  # of a channel below ReLU6's six, in parts of it: dead channels are not amplified for ever


def balanced_gains(
    graph: Graph,
    start: Mapping[str, NDArray[np.float64]],
    members: Sequence[Family],
    seen: Mapping[str, Channels],
) -> dict[str, NDArray[np.float64]]:
    """Gains of least noise, [K], by the name of each family.

    Args:
        graph: the float network; gates of the families' hard-swishes are convolutions.
        start: gains to begin with, likewise.
        members: the families that may carry gains.
        seen: every tensor's channels.
    """
    gains = [_FamilyGains.of(graph, family, start[family.name], seen) for family in members]
    place = {name: i for i, family in enumerate(members) for name in family.groups}
    noise = _Noise(graph, members, seen)
    optimizer = torch.optim.Adam([gain.log for gain in gains], lr=STEP_SIZE)
    for _ in range(STEPS):
        optimizer.zero_grad()
        values = [gain.value() for gain in gains]
        total = noise({name: _of_channels(members[i], name, values[i]) for name, i in place.items()})
        total.backward()  # type: ignore[no-untyped-call] # torch declares no types here
        optimizer.step()
    with torch.no_grad():
        found = [gain.value().double().numpy() for gain in gains]
    return {family.name: _settled(graph, family, gain, seen) for family, gain in zip(members, found, strict=True)}


@dataclass(frozen=True, slots=True)
class _FamilyGains:
    """The gains of one family while they are searched for.

    Attributes:
        log: what is searched for, [K].
        upper: what the gains may not exceed, so that ReLU6 cuts off nothing that the images show, [K].
        fixed: groups whose gain is 1, because they can carry none or do reach ReLU6's six, [K].
    """

    log: torch.Tensor
    upper: torch.Tensor
    fixed: torch.Tensor

    @staticmethod
    def of(graph: Graph, family: Family, start: NDArray[np.float64], seen: Mapping[str, Channels]) -> _FamilyGains:
        upper, fixed = np.full(len(start), math.inf), ~family.free
        for name, groups in family.groups.items():
            if (top := ceiling(graph, name)) < math.inf:
                reach = seen[name].reach
                np.minimum.at(upper, groups, top / HEADROOM / np.maximum(reach, top * _LEAST_REACH))
                fixed[groups[reach > top / HEADROOM]] = True
        return _FamilyGains(
            torch.from_numpy(np.log(start)).float().requires_grad_(),
            torch.from_numpy(upper).float(),
            torch.from_numpy(fixed),
        )

    def value(self) -> torch.Tensor:
        """The gains, [K]."""
        return torch.where(self.fixed, 1.0, torch.minimum(self.log.exp(), self.upper))


def _of_channels(family: Family, name: str, value: torch.Tensor) -> torch.Tensor:
    """The gains of a tensor's channels, [C], from those of the family's groups, [K]."""
    groups = family.groups[name]
    # Where each channel is a group, nothing is picked out: gradients then add up in the order of their readers.
    return value if np.array_equal(groups, np.arange(len(value))) else value[torch.from_numpy(groups)]


@dataclass(frozen=True, slots=True)
class _Layer:
    """A layer's names, and the largest magnitude of its weights over the taps, [O, I], or [C] if it is depthwise.

    Between channels of different groups it is 0.
    """

    x: str
    y: str
    largest: torch.Tensor
    taps: int
    groups: int


class _Noise:
    """The sum over layers and tensors of what rounding adds, in parts of what is there."""

    def __init__(self, graph: Graph, members: Sequence[Family], seen: Mapping[str, Channels]) -> None:
        self._graph = graph
        self._power = {name: torch.from_numpy(channels.power).float() for name, channels in seen.items()}
        self._swishes = {name for name in seen if enters_swish(graph, name)}
        self._low = {
            name: torch.from_numpy(
                np.maximum(channels.low, -GATE_OPENS) if name in self._swishes else channels.low
            ).float()
            for name, channels in seen.items()
        }
        self._high = {name: torch.from_numpy(channels.high).float() for name, channels in seen.items()}
        families = {name: family for family in members for name in family.groups}
        # Squared norms of the columns: by a family's groups, [K], or a tensor's channels, [C].
        read: dict[str, torch.Tensor] = {family.name: torch.zeros(len(family.free)) for family in members}
        self._layers = []
        for node in graph:
            if node.op.has_weights:
                layer, columns = self._layer(node)
                self._layers.append(layer)
                if (family := families.get(layer.x)) is None:
                    read[layer.x] = read.get(layer.x, torch.zeros(())) + columns
                else:
                    read[family.name].index_add_(0, torch.from_numpy(family.groups[layer.x]), columns)
        ones = {name: torch.ones_like(power) for name, power in self._power.items()}
        self._weight = {
            name: _of_channels(families[name], name, read[families[name].name])
            if name in families and read[families[name].name].any()
            else read.get(name, one)
            for name, one in ones.items()
        }
        self._heard = {name: (weight * self._power[name]).sum() + _LEAST_POWER for name, weight in self._weight.items()}

    def _layer(self, node: Node) -> tuple[_Layer, torch.Tensor]:
        """The layer, and the squared norms of its columns, [I]."""
        x, weight = node.read("x", "weight")
        kernel = torch.from_numpy(self._graph.constants[weight]).float()
        taps = kernel.reshape(*kernel.shape[:2], -1)  # [O, I / groups, taps]
        largest, norms, groups = taps.abs().amax(2), taps.square().sum(2), node.op.groups_of_weights
        columns = norms.reshape(groups, -1, norms.shape[1]).sum(1).reshape(-1)
        if groups == len(largest) == len(columns):
            return _Layer(x, node.output, largest[:, 0], taps.shape[2], groups), columns
        blocks = largest.reshape(groups, -1, largest.shape[1])
        dense: torch.Tensor = torch.block_diag(*blocks)  # type: ignore[no-untyped-call] # torch declares no types here
        return _Layer(x, node.output, dense, taps.shape[2], groups), columns

    def __call__(self, gains: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The noise for these gains, by tensor; 1 for tensors that have none."""
        of = {name: gains.get(name, torch.ones_like(power)) for name, power in self._power.items()}
        total = torch.zeros(())
        for layer in self._layers:
            into, out = of[layer.x], of[layer.y]
            power = into.square() * self._power[layer.x] * layer.taps
            if layer.largest.ndim == 1:
                scaled, heard = layer.largest * out / into, power
            else:
                scaled = layer.largest * out[:, None] / into
                heard = power.reshape(layer.groups, -1).sum(1).repeat_interleave(len(out) // layer.groups)
            step = scaled.amax() / WEIGHT_MAX
            total = total + self._share(layer.y, (step / out).square() / 12 * heard)
        for name, gain in of.items():
            if name == self._graph.input:
                continue
            high = (gain * self._high[name]).amax()
            low = (gain * self._low[name]).amin()
            if name in self._swishes:  # its clamp at -3 stays, wherever the others end
                low = torch.minimum(low, -high)
            step = (high - low) / (INT8_MAX - INT8_MIN)
            total = total + self._share(name, (step / gain).square() / 12)
        return total

    def _share(self, name: str, variance: torch.Tensor) -> torch.Tensor:
        return (self._weight[name] * variance).sum() / self._heard[name]


def _settled(
    graph: Graph, family: Family, gain: NDArray[np.float64], seen: Mapping[str, Channels]
) -> NDArray[np.float64]:
    """The same gains with the common factor that the family's clamps ask for: what matters is their proportion."""
    if any(ceiling(graph, name) < math.inf for name in family.groups) or not family.free.all():
        return gain
    swishes = {
        name: np.maximum(seen[name].high, np.minimum(-seen[name].low, GATE_OPENS))
        for name in family.groups
        if enters_swish(graph, name)
    }
    return gain * (GATE_OPENS / float((family.farthest(swishes) * gain).max())) if swishes else gain / gain.max()
