"""A number that each channel is multiplied by wherever it is read: 1 leaves it, 0 is as if it were gone."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor, nn

    from edgekit.compression.pruning.groups import Group


@contextmanager
def gated(module: nn.Module, groups: Sequence[Group], gates: Tensor) -> Iterator[None]:
    """Within it, what the network reads of channels is multiplied.

    Args:
        module: the network.
        groups: of its channels.
        gates: [N, channels of all groups], those of the first group first; N is the batch, or 1.
    """
    handles = [
        module.get_submodule(name).register_forward_pre_hook(partial(_multiply, gates=gates, places=places))
        for name, places in _read_by(module, groups).items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def channels_of(groups: Sequence[Group]) -> int:
    """How many channels groups have together."""
    return sum(group.channels for group in groups)


def _read_by(module: nn.Module, groups: Sequence[Group]) -> Mapping[str, Tensor]:
    """Of each layer that reads channels of groups, which gate each is multiplied by; the last, which is 1, else."""
    found: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.intp]]] = {}
    first, last = 0, channels_of(groups)
    for group in groups:
        for name, places in group.read.items():
            weight = module.get_parameter(f"{name}.weight")
            found.setdefault(name, np.full(weight.shape[1], last))[places] = first + np.arange(group.channels)
        first += group.channels
    return {name: torch.from_numpy(places) for name, places in found.items()}


def _multiply(_layer: nn.Module, inputs: tuple[Tensor, ...], *, gates: Tensor, places: Tensor) -> tuple[Tensor, ...]:
    x, *others = inputs
    with_one = torch.cat([gates, gates.new_ones(len(gates), 1)], 1)
    factors = with_one[:, places.to(gates.device)]
    return (x * factors.reshape(*factors.shape, *[1] * (x.ndim - 2)), *others)
