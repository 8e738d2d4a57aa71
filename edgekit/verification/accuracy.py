"""How often a file is right, and how often it says what the float network says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Measured on labelled images.

    Attributes:
        images: how many.
        top1: share whose highest logit is the label, 0..1.
        top5: share with the label among the five highest logits, 0..1.
    """

    images: int
    top1: float
    top5: float


def measure(logits: NDArray[np.generic], labels: Sequence[int]) -> Accuracy:
    """The accuracy of ``logits``, [N, classes]. Equal logits rank in the order of the classes, as argmax has it."""
    ranked = np.argsort(-logits.astype(np.float64), axis=1, kind="stable")[:, :5]
    hits = ranked == np.asarray(labels)[:, None]
    return Accuracy(len(logits), float(hits[:, 0].mean()), float(hits.any(1).mean()))
