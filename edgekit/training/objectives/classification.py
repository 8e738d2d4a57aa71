"""Classification: cross-entropy of one class an image, with label smoothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from edgekit.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class _Classification:
    mixes: bool = True

    def prepared(self, targets: Tensor, outputs: int) -> Tensor:
        """[N] class indices as one-hot rows, [N, classes]."""
        return functional.one_hot(targets, outputs).float()

    def truth(self, targets: NDArray[np.int64]) -> tuple[int, ...]:
        """Class indices."""
        return tuple(targets.tolist())

    def loss(self, outputs: Mapping[str, Tensor], targets: Tensor, recipe: Recipe) -> Tensor:
        """The mean over the batch; smoothing as in arXiv:1512.00567, section 7."""
        (logits,) = outputs.values()
        return functional.cross_entropy(logits, targets, label_smoothing=recipe.smoothing)


CLASSIFICATION: Final = _Classification()
