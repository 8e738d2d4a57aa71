"""Statistics of batch normalization, measured anew: those of a network are wrong for it when channels have gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn
from torch.optim.swa_utils import update_bn

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor


def settle(module: nn.Module, batches: Iterable[Tensor]) -> None:
    """Make statistics the mean of those of some batches, each of normalized images [N, C, H, W], two at least."""
    modes = [(part, part.training) for part in module.modules()]
    for part in module.modules():
        part.train(isinstance(part, nn.BatchNorm2d))  # and nothing is dropped
    update_bn(batches, module)
    for part, mode in modes:
        part.training = mode
