"""Regression: the mean absolute error while it is large, squared where it is small."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from edgekit.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class _Regression:
    mixes: bool = False

    def prepared(self, targets: Tensor, outputs: int) -> Tensor:
        """[N] or [N, K] numbers as [N, K], float32."""
        return targets.float().reshape(len(targets), outputs)

    def truth(self, targets: NDArray[np.float32]) -> NDArray[np.float64]:
        """Numbers, [N, K]."""
        return targets.astype(np.float64).reshape(len(targets), -1)

    def loss(self, outputs: Mapping[str, Tensor], targets: Tensor, recipe: Recipe) -> Tensor:  # noqa: ARG002 - an Objective
        """Huber's loss with its corner at 1 (arXiv:1504.08083), of the targets that are known: no NaN."""
        (numbers,) = outputs.values()
        known = torch.isfinite(targets)
        return functional.smooth_l1_loss(numbers[known], targets[known])


REGRESSION: Final = _Regression()
