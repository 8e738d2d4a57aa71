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

    from edgekit.calibration.families import Channels
    from edgekit.ir import Graph, Node

HEADROOM = 1.25  # a channel below ReLU6's six is scaled as if it reached farther than any image shows, by this factor
STEPS = 150
STEP_SIZE = 0.1  # of log g, for Adam
_LEAST_POWER = 1e-12  # of a tensor that is always zero
_LEAST_REACH = 1e-3  # of a channel below ReLU6's six, in parts of it: dead channels are not amplified for ever


def balanced_gains(
    graph: Graph,
    start: Mapping[str, NDArray[np.float64]],
    members: Sequence[tuple[str, ...]],
    seen: Mapping[str, Channels],
) -> dict[str, NDArray[np.float64]]:
    """Gains of least noise, [C], by the first tensor of each family.

    Args:
        graph: the float network; gates of the families' hard-swishes are convolutions.
        start: gains to begin with, likewise.
        members: the families that may carry gains.
        seen: every tensor's channels.
    """
    gains = [_FamilyGains.of(graph, family, start[family[0]], seen) for family in members]
    place = {name: i for i, family in enumerate(members) for name in family}
    noise = _Noise(graph, members, seen)
    optimizer = torch.optim.Adam([gain.log for gain in gains], lr=STEP_SIZE)
    for _ in range(STEPS):
        optimizer.zero_grad()
        values = [gain.value() for gain in gains]
        total = noise({name: values[i] for name, i in place.items()})
        total.backward()  # type: ignore[no-untyped-call] # torch declares no types here
        optimizer.step()
    with torch.no_grad():
        found = [gain.value().double().numpy() for gain in gains]
    return {family[0]: _settled(graph, family, gain, seen) for family, gain in zip(members, found, strict=True)}


@dataclass(frozen=True, slots=True)
class _FamilyGains:
    """The gains of one family while they are searched for.

    Attributes:
        log: what is searched for, [C].
        upper: what the gains may not exceed, so that ReLU6 cuts off nothing that the images show, [C].
        fixed: channels that do reach ReLU6's six: their gain is 1, [C].
    """

    log: torch.Tensor
    upper: torch.Tensor
    fixed: torch.Tensor

    @staticmethod
    def of(
        graph: Graph, family: Sequence[str], start: NDArray[np.float64], seen: Mapping[str, Channels]
    ) -> _FamilyGains:
        upper, fixed = np.full(len(start), math.inf), np.zeros(len(start), bool)
        for name in family:
            if (top := ceiling(graph, name)) < math.inf:
                reach = seen[name].reach
                upper = np.minimum(upper, top / HEADROOM / np.maximum(reach, top * _LEAST_REACH))
                fixed |= reach > top / HEADROOM
        return _FamilyGains(
            torch.from_numpy(np.log(start)).float().requires_grad_(),
            torch.from_numpy(upper).float(),
            torch.from_numpy(fixed),
        )

    def value(self) -> torch.Tensor:
        """The gains, [C]."""
        return torch.where(self.fixed, 1.0, torch.minimum(self.log.exp(), self.upper))


@dataclass(frozen=True, slots=True)
class _Layer:
    """A layer's names and the largest magnitude of its weights over the taps, [O, I], or [C] if it is depthwise."""

    x: str
    y: str
    largest: torch.Tensor
    taps: int


class _Noise:
    """The sum over layers and tensors of what rounding adds, in parts of what is there."""

    def __init__(self, graph: Graph, members: Sequence[tuple[str, ...]], seen: Mapping[str, Channels]) -> None:
        self._graph = graph
        self._power = {name: torch.from_numpy(channels.power).float() for name, channels in seen.items()}
        self._low = {
            name: torch.from_numpy(
                np.maximum(channels.low, -GATE_OPENS) if enters_swish(graph, name) else channels.low
            ).float()
            for name, channels in seen.items()
        }
        self._high = {name: torch.from_numpy(channels.high).float() for name, channels in seen.items()}
        first = {name: family[0] for family in members for name in family}
        read: dict[str, torch.Tensor] = {}  # squared norms of the columns, by the first of the family
        self._layers = []
        for node in graph:
            if node.op.has_weights:
                layer, columns = self._layer(node)
                self._layers.append(layer)
                name = first.get(layer.x, layer.x)
                read[name] = read.get(name, torch.zeros(())) + columns
        ones = {name: torch.ones_like(power) for name, power in self._power.items()}
        self._weight = {name: read.get(first.get(name, name), one) for name, one in ones.items()}

    def _layer(self, node: Node) -> tuple[_Layer, torch.Tensor]:
        x, weight = node.read("x", "weight")
        kernel = torch.from_numpy(self._graph.constants[weight]).float()
        taps = kernel.reshape(*kernel.shape[:2], -1)  # [O, I, taps]
        largest, columns = taps.abs().amax(2), taps.square().sum(2)
        if node.op.groups_of_weights > 1:
            return _Layer(x, node.output, largest[:, 0], taps.shape[2]), columns[:, 0]
        return _Layer(x, node.output, largest, taps.shape[2]), columns.sum(0)

    def __call__(self, gains: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The noise for these gains, by tensor; 1 for tensors that have none."""
        of = {name: gains.get(name, torch.ones_like(power)) for name, power in self._power.items()}
        total = torch.zeros(())
        for layer in self._layers:
            into, out = of[layer.x], of[layer.y]
            power = into.square() * self._power[layer.x] * layer.taps
            depthwise = layer.largest.ndim == 1
            scaled = layer.largest * out / into if depthwise else layer.largest * out[:, None] / into
            step = scaled.amax() / WEIGHT_MAX
            total = total + self._share(layer.y, (step / out).square() / 12 * (power if depthwise else power.sum()))
        for name, gain in of.items():
            if name == self._graph.input:
                continue
            high = (gain * self._high[name]).amax()
            low = (gain * self._low[name]).amin()
            if enters_swish(self._graph, name):  # its clamp at -3 stays, wherever the others end
                low = torch.minimum(low, -high)
            step = (high - low) / (INT8_MAX - INT8_MIN)
            total = total + self._share(name, (step / gain).square() / 12)
        return total

    def _share(self, name: str, variance: torch.Tensor) -> torch.Tensor:
        weight = self._weight[name]
        return (weight * variance).sum() / ((weight * self._power[name]).sum() + _LEAST_POWER)


def _settled(
    graph: Graph, family: Sequence[str], gain: NDArray[np.float64], seen: Mapping[str, Channels]
) -> NDArray[np.float64]:
    """The same gains with the common factor that the family's clamps ask for: what matters is their proportion."""
    swishes = [np.maximum(seen[n].high, np.minimum(-seen[n].low, GATE_OPENS)) for n in family if enters_swish(graph, n)]
    if swishes:
        return gain * (GATE_OPENS / max(float((reach * gain).max()) for reach in swishes))
    return gain if any(ceiling(graph, name) < math.inf for name in family) else gain / gain.max()
