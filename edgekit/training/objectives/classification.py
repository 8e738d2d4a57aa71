"""Classification: cross-entropy of one class an image, with label smoothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from edgekit.tasks.task import Task
    from edgekit.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Classification:
    """See ``Objective``; targets are int64, [N]."""

    classes: int
    mixes: bool = True

    @classmethod
    def of(cls, task: Task[Any]) -> Classification:
        """That of a task."""
        return cls(task.things)

    def prepared(self, targets: NDArray[np.int64], device: str) -> Tensor:
        """Class indices as one-hot rows, float32 [N, classes]."""
        return functional.one_hot(torch.from_numpy(targets).to(device), self.classes).float()

    def truth(self, batches: Sequence[NDArray[np.int64]]) -> tuple[int, ...]:
        """Class indices."""
        return tuple(index for targets in batches for index in targets.tolist())

    def loss(self, outputs: Mapping[str, Tensor], targets: Tensor, recipe: Recipe) -> Tensor:
        """The mean over the batch; smoothing as in arXiv:1512.00567, section 7."""
        (logits,) = outputs.values()
        return functional.cross_entropy(logits, targets, label_smoothing=recipe.smoothing)
