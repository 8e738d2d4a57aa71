"""Channels that say nothing: what reads them reads the same number for any image, so that they can go exactly.

Batch normalization whose scale or variance decayed to nothing leaves a constant, mostly below zero, where ReLU makes it
0. Of another constant, what it adds becomes part of the bias of the layer that reads it, or of the mean that batch
normalization takes off behind. That is exact only where no zeros are padded around it.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from edgekit.compression.pruning.bounds import bounds_of, pads

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import nn

    from edgekit.compression.pruning.budget import Width
    from edgekit.compression.pruning.groups import Group
    from edgekit.ir import Graph, Node

    Bounds = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Dead:
    """The channels of a network that say nothing.

    Attributes:
        kept: of each group, which say something, [K]; at least one.
        added: by module, what they add to what it makes, [O]: a bias, or taken off a running mean.
    """

    kept: tuple[NDArray[np.bool_], ...]
    added: Mapping[str, NDArray[np.float64]]


def find(graph: Graph, groups: Sequence[Group], widths: Sequence[Width], image: Bounds) -> Dead:
    """The dead channels of a network.

    Args:
        graph: as ``capture`` gives it.
        groups: of its channels.
        widths: of these: a number that others have to agree with stays.
        image: between what numbers each channel of its input lies, [C] and [C].
    """
    bounds = bounds_of(graph, image)
    free = {at for width in widths if len(width.groups) == 1 for at in width.groups}
    layers = {node.name: node for node in graph if node.op.has_weights}
    kept: list[NDArray[np.bool_]] = []
    added: dict[str, NDArray[np.float64]] = {}
    for at, group in enumerate(groups):
        says_nothing = np.full(group.channels, at in free)
        for name, places in group.read.items():
            low, high = (side[places] for side in bounds[graph.activations(layers[name])[0]])
            is_constant = high - low <= np.finfo(np.float32).eps / 2 * np.abs(low)
            takes_any = _taking(graph, layers[name]) is not None and not pads(layers[name])
            says_nothing &= is_constant & (takes_any | (low == 0) & (high == 0))
        if says_nothing.all():
            says_nothing[0] = False
        kept.append(~says_nothing)
        for name, places in group.read.items():
            node = layers[name]
            gone = places[says_nothing]
            constant = bounds[graph.activations(node)[0]][0][gone]
            if constant.any():
                weight = graph.constants[node.operand("weight")].astype(np.float64)
                sums = weight.reshape(*weight.shape[:2], -1).sum(2)[:, gone] @ constant
                taking = _taking(graph, node)
                assert taking is not None, "others were kept"
                added[taking] = added.get(taking, np.zeros(len(weight))) + sums
    return Dead(tuple(kept), added)


def folded(module: nn.Module, dead: Dead) -> nn.Module:
    """A copy of a network whose layers have what dead channels add to them."""
    own = copy.deepcopy(module)
    with torch.no_grad():
        for name, added in dead.added.items():
            part = own.get_submodule(name)
            takes_off = isinstance(part, torch.nn.BatchNorm2d)
            number = part.running_mean if takes_off else part.bias
            assert isinstance(number, torch.Tensor), "the graph has shown it"
            moved = number.double().numpy() + (-added if takes_off else added)
            number.copy_(torch.from_numpy(moved))
    return own


def _taking(graph: Graph, node: Node) -> str | None:
    """The module that takes what a constant adds to a layer: batch normalization behind it, or itself by its bias."""
    readers = graph.consumers(node.output)
    if len(readers) == 1 and readers[0].op.normalizes:
        return readers[0].name
    has_bias = graph.constants[node.operand("bias")].any()
    return node.name if has_bias else None
