"""Segmentation: cross-entropy of every pixel that is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from edgekit.annotations.moving import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from edgekit.tasks.task import Task
    from edgekit.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Segmentation:
    """See ``Objective``; targets are masks, uint8 [H, W], all of one size in a batch that is learned from."""

    mask: str
    mixes: bool = False

    @classmethod
    def of(cls, task: Task[Any]) -> Segmentation:
        """That of a task."""
        (mask,) = task.outputs
        return cls(mask)

    def prepared(self, targets: Sequence[NDArray[np.uint8]], device: str) -> Tensor:
        """Class indices, int64 [N, H, W], 255 where nobody knows."""
        return torch.from_numpy(np.stack(targets)).to(device).long()

    def truth(self, batches: Sequence[Sequence[NDArray[np.uint8]]]) -> tuple[NDArray[np.uint8], ...]:
        """The mask of every image."""
        return tuple(mask for targets in batches for mask in targets)

    def loss(self, outputs: Mapping[str, Tensor], targets: Tensor, recipe: Recipe) -> Tensor:
        """The mean over the pixels that are known, of logits [N, classes, h, w] resized to the mask."""
        logits = functional.interpolate(outputs[self.mask], targets.shape[1:], mode="bilinear", align_corners=False)
        each = functional.cross_entropy(
            logits, targets, ignore_index=UNKNOWN, reduction="sum", label_smoothing=recipe.smoothing
        )
        return each / (targets != UNKNOWN).sum().clamp(min=1)
