"""Tagging: binary cross-entropy of each tag that is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from edgekit.tasks.task import Task
    from edgekit.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Tagging:
    """See ``Objective``; targets are float32, [N, tags] of 0 and 1; what is below 0 or NaN is not known."""

    tags: int
    mixes: bool = True

    @classmethod
    def of(cls, task: Task[Any]) -> Tagging:
        """That of a task."""
        return cls(task.things)

    def prepared(self, targets: NDArray[np.float32], device: str) -> Tensor:
        """[N, tags]; what is not known is NaN."""
        shares = torch.from_numpy(targets).to(device).float().reshape(-1, self.tags)
        return shares.where(shares >= 0, torch.nan)

    def truth(self, batches: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
        """The same for all validation images."""
        shares = np.concatenate(batches).astype(np.float64).reshape(-1, self.tags)
        return np.where(shares >= 0, shares, np.nan)

    def loss(self, outputs: Mapping[str, Tensor], targets: Tensor, recipe: Recipe) -> Tensor:
        """The mean over all tags that are known, 0 where none is; smoothing moves each target towards one half."""
        (logits,) = outputs.values()
        known = torch.isfinite(targets)
        wanted = targets[known] * (1 - recipe.smoothing) + recipe.smoothing / 2
        total = functional.binary_cross_entropy_with_logits(logits[known], wanted, reduction="sum")
        return total / known.sum().clamp(min=1)
