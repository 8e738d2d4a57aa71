"""What a network costs, before it is trained: how many numbers it has, and how often it multiplies."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import torch

from edgekit.models.blocks import size_behind
from edgekit.models.families import family_of
from edgekit.models.network import build

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgekit.models.architecture import Architecture, Block, Part, Size

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


def complexity(architecture: Architecture) -> Complexity:
    """What a network of an architecture costs, for an image of the architecture's size; it is not run.

    Raises:
        ConfigError: the architecture's family is unknown.
    """
    with torch.device("meta"):
        network = build(architecture)
    weights = {name: parameter.numel() for name, parameter in network.named_parameters()}
    macs = sum(prod(size) * weights[f"{name}.weight"] for name, size in _layers(architecture))
    return Complexity(sum(weights.values()), macs)


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
    if (last := wiring.last_names(len(architecture.blocks))) is not None:
        yield last[0], size
    for name in wiring.classifier_names(len(architecture.hidden_channels)):
        yield name, _POOLED


def _size_of(part: Part, block: Block, before: Size, behind: Size) -> Size:
    """The size of the map that a part of a block gives, between those before and behind the block."""
    if part in {"squeeze", "excite"}:
        return _POOLED
    strides_later = part in {"start", "expand"} and block.kernel > 0
    return before if strides_later else behind
