"""What the logits of a quantized network are worth, beside those of the float network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.tasks.classification import Classification, accuracy
from edgekit.tasks.statistics import sqnr_db

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Score:
    """A quantized network on labelled images.

    Attributes:
        images: how many.
        top1: share whose highest logit is the label, 0..1.
        drop: of top1 from the float network's, 0..1; negative where the quantized network is right more often.
        drop_interval: of the drop, 95 %, paired by image.
        agreement: share with the same highest logit as the float network, 0..1.
        sqnr_db: of the logits, decibels.
    """

    images: int
    top1: float
    drop: float
    drop_interval: tuple[float, float]
    agreement: float
    sqnr_db: float


def score(found: NDArray[np.generic], floats: NDArray[np.generic], labels: Sequence[int]) -> Score:
    """Logits, [N, classes], against the float network's and the labels."""
    task = Classification.of({"logits": floats.shape[1:]}, (), {})
    drop = task.drop({"logits": found}, {"logits": floats}, tuple(labels))
    assert drop.low is not None
    assert drop.high is not None
    return Score(
        images=len(found),
        top1=accuracy.measure(found, labels).top1,
        drop=drop.value / 100,
        drop_interval=(drop.low / 100, drop.high / 100),
        agreement=accuracy.agreement(found, floats),
        sqnr_db=sqnr_db(found, floats),
    )
