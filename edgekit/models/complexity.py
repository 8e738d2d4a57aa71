"""What a network costs, before it is trained: how many numbers it has, and how often it multiplies."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from edgekit.errors import ConfigError
from edgekit.models.architecture import Architecture
from edgekit.models.backbone import feature_maps
from edgekit.models.blocks import size_behind
from edgekit.models.building import built
from edgekit.models.families import family_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgekit.models.architecture import Block, Part, Size
    from edgekit.models.task_architecture import TaskArchitecture

_POOLED: Size = (1, 1)


@dataclass(frozen=True, slots=True)
class Complexity:
    """What a network costs.

    Attributes:
        parameters: weights that training changes, scales and shifts of batch normalization among them.
        macs: multiplications by weights of convolutions and linear layers, each with its addition, for one image; as
            ``Graph.macs`` counts them.
    """

    parameters: int
    macs: int


def complexity(architecture: Architecture | TaskArchitecture) -> Complexity:
    """What a network of an architecture costs, for an image of the architecture's size; no number is computed.

    Raises:
        ConfigError: the architecture's family is unknown, or its backbone has no feature map that a head takes.
    """
    with torch.device("meta"):
        network = built(architecture)
    weights = {name: parameter.numel() for name, parameter in network.named_parameters()}
    layers = _layers(architecture) if isinstance(architecture, Architecture) else _seen(network, architecture)
    macs = sum(prod(size) * weights[f"{name}.weight"] for name, size in layers)
    return Complexity(sum(weights.values()), macs)


def at_equal_shares(architecture: Architecture, count: int) -> list[str]:
    """Modules of so many feature maps before the last, which part the network's multiplications about equally.

    Raises:
        ConfigError: the architecture's family is unknown, or there are not so many maps.
    """
    with torch.device("meta"):
        weights = {name: parameter.numel() for name, parameter in built(architecture).named_parameters()}
    layers = [(name, prod(size) * weights[f"{name}.weight"]) for name, size in _layers(architecture)]
    until = _until(architecture, layers)
    *left, last = until
    if not 1 <= count <= len(left):
        raise ConfigError(f"{architecture.name} has {len(left)} places for early exits, and {count} are wanted")
    for number in range(1, count + 1):
        wanted = until[last] * number / (count + 1)
        left.remove(min(left, key=lambda module: abs(until[module] - wanted)))
    return [module for module in until if module not in {*left, last}]


def macs_at_exits(architecture: TaskArchitecture) -> tuple[int, ...]:
    """The multiplications for an image that leaves at each head of a network, those of the heads before it included.

    Raises:
        ConfigError: the backbone has no feature map that a head takes.
    """
    with torch.device("meta"):
        network = built(architecture)
    weights = {name: parameter.numel() for name, parameter in network.named_parameters()}
    layers = [(name, prod(size) * weights[f"{name}.weight"]) for name, size in _seen(network, architecture)]

    until = _until(architecture.backbone, layers)
    heads, found = 0, list[int]()
    for head in architecture.heads:
        heads += _within(head.name, layers)
        found.append(heads + max(until.get(module, max(until.values())) for module in head.takes))
    return tuple(found)


def _until(backbone: Architecture, layers: Sequence[tuple[str, int]]) -> dict[str, int]:
    """The multiplications until each feature map is there, by the module that gives it."""
    done, found = 0, dict[str, int]()
    for one in feature_maps(backbone):
        done += _within(one.module, layers)
        found[one.module] = done
    return found


def _within(module: str, layers: Sequence[tuple[str, int]]) -> int:
    return sum(macs for name, macs in layers if name.startswith(f"{module}."))


def _seen(network: nn.Module, architecture: TaskArchitecture) -> Iterator[tuple[str, Size]]:
    """Every convolution and linear layer, with the size of the map that it gives when the network runs.

    Of a classifier names and strides tell that ten times faster.
    """
    sizes: dict[str, Size] = {}

    def keep(name: str, output: Tensor) -> None:
        sizes[name] = (output.shape[2], output.shape[3]) if output.ndim == 4 else _POOLED

    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(lambda _layer, _inputs, output, name=name: keep(name, output))
    with torch.no_grad():
        network.eval()(torch.empty(1, architecture.in_channels, *architecture.size, device="meta"))
    yield from sizes.items()


def _layers(architecture: Architecture) -> Iterator[tuple[str, Size]]:
    """Every convolution and linear layer, with the size of the map that it gives."""
    wiring = family_of(architecture.family).wiring
    size = size_behind(architecture.size, architecture.stem_stride)
    yield wiring.stem_names()[0], size
    for index, block in enumerate(architecture.blocks):
        behind = size_behind(size, block.stride)
        for part, (conv, _) in wiring.block_names(index, block.parts).items():
            yield conv, _size_of(part, block, size, behind)
        size = behind
    if architecture.head_channels and (last := wiring.last_names(len(architecture.blocks))) is not None:
        yield last[0], size
    for name in wiring.classifier_names(len(architecture.hidden_channels)):
        yield name, _POOLED


def _size_of(part: Part, block: Block, before: Size, behind: Size) -> Size:
    """The size of the map that a part of a block gives, between those before and behind the block."""
    if part in {"squeeze", "excite"}:
        return _POOLED
    strides_later = part in {"start", "expand"} and block.kernel > 0
    return before if strides_later else behind
