"""Tagging: binary cross-entropy of each tag that is known."""

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
class _Tagging:
    mixes: bool = True

    def prepared(self, targets: Tensor, outputs: int) -> Tensor:
        """[N, tags] of 0 and 1; what is below 0 or NaN is not known, and becomes NaN."""
        shares = targets.float().reshape(len(targets), outputs)
        return shares.where(shares >= 0, torch.nan)

    def truth(self, targets: NDArray[np.float32]) -> NDArray[np.float64]:
        """The same for all validation images."""
        shares = targets.astype(np.float64).reshape(len(targets), -1)
        return np.where(shares >= 0, shares, np.nan)

    def loss(self, outputs: Mapping[str, Tensor], targets: Tensor, recipe: Recipe) -> Tensor:
        """The mean over all tags that are known; smoothing moves each target towards one half."""
        (logits,) = outputs.values()
        known = torch.isfinite(targets)
        wanted = targets[known] * (1 - recipe.smoothing) + recipe.smoothing / 2
        return functional.binary_cross_entropy_with_logits(logits[known], wanted)


TAGGING: Final = _Tagging()
