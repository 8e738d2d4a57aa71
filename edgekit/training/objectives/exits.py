"""Exits of one classifier: the sum of their losses, all for the same classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch

from edgekit.training.objectives.classification import Classification

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from edgekit.tasks.exits import Exits as ExitsTask
    from edgekit.tasks.task import Task
    from edgekit.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Exits:
    """See ``Objective``; targets are those of classification.

    Attributes:
        outputs: the logits of each exit, by name.
        each: what one exit is trained for.
    """

    outputs: tuple[str, ...]
    each: Classification
    mixes: bool = True

    @classmethod
    def of(cls, task: Task[Any]) -> Exits:
        """That of a task."""
        about = cast("ExitsTask", task)
        return cls(about.outputs, Classification(about.things))

    def prepared(self, targets: NDArray[np.int64], device: str) -> Tensor:
        """One-hot rows, as of classification."""
        return self.each.prepared(targets, device)

    def truth(self, batches: Sequence[NDArray[np.int64]]) -> tuple[int | None, ...]:
        """Class indices."""
        return self.each.truth(batches)

    def loss(self, outputs: Mapping[str, Tensor], targets: Tensor, recipe: Recipe) -> Tensor:
        """The sum over the exits, with equal weights: arXiv:1703.09844, section 4, "Loss function"."""
        each = [self.each.loss({name: outputs[name]}, targets, recipe) for name in self.outputs]
        return torch.stack(each).sum()
