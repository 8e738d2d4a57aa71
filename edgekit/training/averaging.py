"""A moving average of everything that a network learns, which is mostly better than where it stands last."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import nn


class Average:
    """The exponential moving average of a network's weights and statistics (arXiv:1312.6120 and many since).

    Early on, it remembers less: the decay of update t is at most (1 + t) / (10 + t), as in
    tf.train.ExponentialMovingAverage, so that random weights are soon forgotten.

    Attributes:
        module: the averaged network, in evaluation mode.
        updates: how many there were.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).eval().requires_grad_(requires_grad=False)
        self.updates = 0
        self._decay = decay

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move towards where ``module`` stands now."""
        self.updates += 1
        decay = min(self._decay, (1 + self.updates) / (10 + self.updates))
        ours, theirs = self.module.state_dict(), module.state_dict()
        floats = [key for key, tensor in ours.items() if tensor.dtype.is_floating_point]
        torch._foreach_lerp_([ours[key] for key in floats], [theirs[key] for key in floats], 1 - decay)
        for key in ours.keys() - set(floats):  # counters
            ours[key].copy_(theirs[key])
