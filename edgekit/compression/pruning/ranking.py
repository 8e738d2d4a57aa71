"""What channels are worth, by their weights or by what images show of them.

=======  ==============================================================================================================
l1       the mean magnitude of a channel's weights in all layers that make it (arXiv:1608.08710)
bn       the magnitude of the scales of its batch normalization (arXiv:1708.06519)
taylor   how the loss of the labels changes without it, to second order: the mean square of the loss's derivative by a
         gate on all that reads it (arXiv:2108.00708, equation 5)
output   likewise, how far the outputs move, whatever the labels are
=======  ==============================================================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import torch

from edgekit.compression.pruning.gates import channels_of, gated
from edgekit.training.from_images import named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from edgekit.compression.pruning.groups import Group

    Worth = tuple[NDArray[np.float64], ...]  # of each group, what each of its channels is worth, [K]
    Outputs = Tensor | Mapping[str, Tensor]

Rank = Literal["l1", "bn", "taylor", "output"]
_DIRECTIONS: Final = 4  # in which outputs of an image are looked at


def by_weights(module: nn.Module, groups: Sequence[Group]) -> Worth:
    """``l1``: in each layer, magnitudes relative to those of its other channels."""
    return tuple(
        _mean(
            _relative(weight.detach().abs().flatten(1).mean(1)[torch.from_numpy(places)])
            for name, places in group.made.items()
            if (weight := module.get_parameter(f"{name}.weight")).ndim > 1
        )
        for group in groups
    )


def by_scales(module: nn.Module, groups: Sequence[Group]) -> Worth | None:
    """``bn``; None where a layer has no batch normalization, and what it makes is of no other that has.

    The inner channels of squeeze-and-excite and hidden linear layers have none: their weights decide.
    """
    of_weights = by_weights(module, groups)
    found = []
    for group, others in zip(groups, of_weights, strict=True):
        scales = [
            _relative(weight.detach().abs()[torch.from_numpy(places)])
            for name, places in group.made.items()
            if (weight := module.get_parameter(f"{name}.weight")).ndim == 1
        ]
        found.append(_mean(scales) if scales else others)
    has_norms = any(isinstance(part, torch.nn.BatchNorm2d) for part in module.modules())
    return tuple(found) if has_norms else None


def by_loss(
    module: nn.Module, groups: Sequence[Group], batches: Iterable[Tensor], loss: Callable[[Outputs, int], Tensor]
) -> Worth:
    """``taylor``, and ``output`` by a loss of its own.

    Args:
        module: in evaluation mode.
        groups: of its channels.
        batches: of normalized images, [N, C, H, W] each.
        loss: of a batch's outputs, and its number from 0; the sum, or the mean, over its images.
    """
    total = np.zeros(channels_of(groups))
    for place, images in enumerate(batches):
        gates = torch.ones(len(images), channels_of(groups), device=images.device, requires_grad=True)
        with gated(module, groups, gates), torch.enable_grad():
            value = loss(module(images), place)
            (slopes,) = torch.autograd.grad(value, gates)
        total += (slopes.double() * len(images)).square().sum(0).cpu().numpy()
    ends = np.cumsum([group.channels for group in groups])[:-1]
    return tuple(np.split(total, ends))


def by_outputs(module: nn.Module, groups: Sequence[Group], batches: Sequence[Tensor], seed: int = 0) -> Worth:
    """``output``: the mean square of how far outputs move, each in units of how it differs from image to image.

    A random direction's inner product with a derivative has, squared, the mean of the derivative's squared length. So a
    few directions stand for all outputs.
    """
    with torch.no_grad():
        first = named(module(batches[0]))
    units = {name: value.flatten(1).var(0, correction=0).sum().clamp(min=1e-12).sqrt() for name, value in first.items()}
    random = torch.Generator().manual_seed(seed)

    def loss(outputs: Outputs, _place: int) -> Tensor:
        parts = [
            (value * torch.randn(value.shape, generator=random).to(value.device)).sum() / units[name]
            for name, value in named(outputs).items()
        ]
        return torch.stack(parts).sum() / len(next(iter(named(outputs).values())))

    return by_loss(module, groups, [batch for batch in batches for _ in range(_DIRECTIONS)], loss)


def _relative(values: Tensor) -> NDArray[np.float64]:
    """Values over their mean."""
    found: NDArray[np.float64] = values.double().cpu().numpy()
    return found / max(float(found.mean()), 1e-30)


def _mean(several: Iterable[NDArray[np.float64]]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.mean(list(several), axis=0)
    return found
