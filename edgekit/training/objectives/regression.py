"""Regression: the mean absolute error while it is large, squared where it is small."""

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
class Regression:
    """See ``Objective``; targets are float32, [N] or [N, numbers]."""

    numbers: int
    mixes: bool = False

    @classmethod
    def of(cls, task: Task[Any]) -> Regression:
        """That of a task."""
        return cls(task.things)

    def prepared(self, targets: NDArray[np.float32], device: str) -> Tensor:
        """[N, numbers], float32."""
        return torch.from_numpy(targets).to(device).float().reshape(-1, self.numbers)

    def truth(self, batches: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
        """[N, numbers]."""
        return np.concatenate(batches).astype(np.float64).reshape(-1, self.numbers)

    def loss(self, outputs: Mapping[str, Tensor], targets: Tensor, recipe: Recipe) -> Tensor:  # noqa: ARG002 - an Objective
        """Huber's loss with its corner at 1 (arXiv:1504.08083), the mean over the targets that are known: no NaN."""
        (numbers,) = outputs.values()
        known = torch.isfinite(targets)
        total = functional.smooth_l1_loss(numbers[known], targets[known], reduction="sum")
        return total / known.sum().clamp(min=1)
