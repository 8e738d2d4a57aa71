"""Single weights at zero: those of least magnitude in the whole network (arXiv:1506.02626, section 3)."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn


def thinned(module: nn.Module, share: float) -> nn.Module:
    """A copy of a network of which this share of the weights of convolutions and linear layers is zero.

    Args:
        module: in evaluation mode.
        share: from 0 to 1.
    """
    own = copy.deepcopy(module)
    kernels = _kernels(own)
    count = round(share * sum(kernel.numel() for kernel in kernels))
    if count:
        order = torch.cat([kernel.detach().abs().flatten() for kernel in kernels]).argsort(stable=True)
        gone = torch.zeros(len(order), dtype=torch.bool)
        gone[order[:count]] = True
        with torch.no_grad():
            for kernel, places in zip(kernels, gone.split([kernel.numel() for kernel in kernels]), strict=True):  # type: ignore[no-untyped-call] # torch declares no types here
                kernel[places.reshape(kernel.shape)] = 0.0
    return own


def zeros(module: nn.Module) -> float:
    """The share of the weights of convolutions and linear layers that is zero."""
    kernels = _kernels(module)
    return sum(int((kernel == 0).sum()) for kernel in kernels) / sum(kernel.numel() for kernel in kernels)


def _kernels(module: nn.Module) -> list[Tensor]:
    return [parameter for parameter in module.parameters() if parameter.ndim > 1]
