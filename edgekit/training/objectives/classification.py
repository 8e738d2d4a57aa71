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
    """See ``Objective``; targets are int64, [N]; what is below 0 is not known."""

    classes: int
    mixes: bool = True

    @classmethod
    def of(cls, task: Task[Any]) -> Classification:
        """That of a task."""
        return cls(task.things)

    def prepared(self, targets: NDArray[np.int64], device: str) -> Tensor:
        """Class indices as one-hot rows, float32 [N, classes]; what is not known is a row of zeros."""
        indices = torch.from_numpy(targets).to(device)
        return functional.one_hot(indices.clamp(min=0), self.classes).float() * (indices >= 0)[:, None]

    def truth(self, batches: Sequence[NDArray[np.int64]]) -> tuple[int | None, ...]:
        """Class indices; None where they are not known."""
        return tuple(None if index < 0 else index for targets in batches for index in targets.tolist())

    def loss(self, outputs: Mapping[str, Tensor], targets: Tensor, recipe: Recipe) -> Tensor:
        """The mean over what is known of the batch; smoothing as in arXiv:1512.00567, section 7."""
        (logits,) = outputs.values()
        known = targets.any(1)
        each = functional.cross_entropy(logits, targets, label_smoothing=recipe.smoothing, reduction="none")
        return (each * known).sum() / known.sum().clamp(min=1)
