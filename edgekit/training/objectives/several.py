"""Several tasks on one backbone: the sum of their losses, each of what is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch

from edgekit.training import objectives

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from edgekit.tasks.several import Head
    from edgekit.tasks.several import Several as SeveralTask
    from edgekit.tasks.task import Task
    from edgekit.training.objectives.objective import Objective
    from edgekit.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Several:
    """See ``Objective``; targets are those of each head, by its name.

    Attributes:
        parts: each head, and what it is trained for.
    """

    parts: tuple[tuple[Head, Objective], ...]
    mixes: bool = False

    @classmethod
    def of(cls, task: Task[Any]) -> Several:
        """That of a task."""
        heads = cast("SeveralTask", task).heads
        return cls(tuple((head, objectives.objective_of(head.task)) for head in heads))

    def prepared(self, targets: Mapping[str, Any], device: str) -> dict[str, Any]:
        """As each head's loss takes them."""
        return {head.name: objective.prepared(targets[head.name], device) for head, objective in self.parts}

    def truth(self, batches: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Those of each head."""
        return {
            head.name: objective.truth([targets[head.name] for targets in batches]) for head, objective in self.parts
        }

    def loss(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Any], recipe: Recipe) -> Tensor:
        """The sum over the heads, with equal weights."""
        each = [
            objective.loss({name: outputs[called] for name, called in head.outputs}, targets[head.name], recipe)
            for head, objective in self.parts
        ]
        return torch.stack(each).sum()
