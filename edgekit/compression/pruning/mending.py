"""What channels that go leave behind: the layers that read them take what the others can say in their stead.

A layer that reads channels pixel by pixel gives W x. Without some of the channels it gives the least squared error
where its weights become W_kept + W_gone T, with T = E[x_gone x_kept'] E[x_kept x_kept']^-1 of centred x: linear
regression of the channels that go on those that stay. Nothing is trained for that, and one pass over images shows all
moments. Source: He, Zhang and Sun, Channel Pruning for Accelerating Very Deep Neural Networks, arXiv:1707.06168,
equation 4, with what the whole network reads on both sides, so that every layer is solved by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from edgekit.compression.pruning.groups import Group

# Of the mean variance of the channels that stay: what is added to each, so that regression follows no noise. More where
# there are few samples for so many channels, as behind a global pool.
_LEAST_RIDGE: Final = 1e-3


@dataclass(slots=True, eq=False)  # tensors have no single truth value
class Moments:
    """Sums over what a layer reads, K channels.

    Attributes:
        total: [K].
        squares: of products, [K, K].
        samples: how many pixels, of all images.
    """

    total: Tensor
    squares: Tensor
    samples: int

    @property
    def mean(self) -> Tensor:
        """[K]."""
        return self.total / self.samples

    @property
    def covariance(self) -> Tensor:
        """[K, K]."""
        return self.squares / self.samples - torch.outer(self.mean, self.mean)


def moments_of(module: nn.Module, groups: Sequence[Group], batches: Sequence[Tensor]) -> dict[str, Moments]:
    """What is read by each layer that reads channels of groups pixel by pixel, by its name.

    Args:
        module: in evaluation mode.
        groups: of its channels.
        batches: of normalized images, [N, C, H, W] each.
    """
    found: dict[str, Moments] = {}
    layers = {name: module.get_submodule(name) for group in groups for name in group.read}
    handles = [
        layer.register_forward_pre_hook(partial(_add, found=found, name=name))
        for name, layer in layers.items()
        if np.prod(module.get_parameter(f"{name}.weight").shape[2:]) == 1
    ]
    try:
        with torch.inference_mode():
            for images in batches:
                module(images)
    finally:
        for handle in handles:
            handle.remove()
    return found


def mended(
    weights: Mapping[str, Tensor],
    groups: Sequence[Group],
    kept: Sequence[NDArray[np.bool_]],
    moments: Mapping[str, Moments],
) -> dict[str, Tensor]:
    """New weights and biases, by name, of the layers that read channels of which some go.

    The columns of channels that go are left as they are: ``cut`` takes them out.

    Args:
        weights: the network's, by name.
        groups: of its channels.
        kept: of each group, which channels stay, [K].
        moments: of what layers read; one that has none keeps its weights.
    """
    stays: dict[str, Tensor] = {}
    for group, own in zip(groups, kept, strict=True):
        if own.all():
            continue
        for name, places in group.read.items():
            if name in moments:
                columns = stays.setdefault(name, torch.ones(len(moments[name].total), dtype=torch.bool))
                columns[torch.from_numpy(places)] = torch.from_numpy(own)
    found: dict[str, Tensor] = {}
    for name, columns in stays.items():
        by, shift = _regression(moments[name], columns)
        weight = weights[f"{name}.weight"].detach()
        flat = weight.double().flatten(1)
        gone = flat[:, ~columns]
        flat[:, columns] += gone @ by
        found[f"{name}.weight"] = flat.reshape(weight.shape).to(weight.dtype)
        if f"{name}.bias" in weights:  # else batch normalization follows, whose means are measured anew
            bias = weights[f"{name}.bias"].detach()
            found[f"{name}.bias"] = (bias + gone @ shift).to(bias.dtype)
    return found


def _regression(moments: Moments, stays: Tensor) -> tuple[Tensor, Tensor]:
    """Of the channels that go on those that stay: slopes [gone, kept] and what is added to each, [gone]."""
    covariance, mean = moments.covariance, moments.mean
    own = covariance[stays][:, stays]
    ridge = max(_LEAST_RIDGE, len(own) / moments.samples) * own.diagonal().mean() + 1e-12
    own.diagonal().add_(ridge)
    slopes = torch.linalg.solve(own, covariance[stays][:, ~stays]).T
    return slopes, mean[~stays] - slopes @ mean[stays]


def _add(_layer: nn.Module, inputs: tuple[Tensor, ...], *, found: dict[str, Moments], name: str) -> None:
    x = inputs[0].detach().transpose(0, 1).flatten(1)  # [K, pixels of all images]
    total, squares = x.sum(1).double(), (x @ x.T).double()
    if name in found:
        found[name].total += total
        found[name].squares += squares
        found[name].samples += x.shape[1]
    else:
        found[name] = Moments(total, squares, x.shape[1])
